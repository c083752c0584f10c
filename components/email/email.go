// Package email is the contract of services that send electronic mail.
package email

import "context"

// Address says between whom.
type Address struct {
	From   string
	To, Cc []string
}

// Mail is a mail whose text is given.
type Mail struct {
	// SettingID picks a setting of the service; may be "".
	SettingID string
	Subject   string
	Text      string
	Address   Address
}

// TemplateMail is a mail whose text the service makes.
type TemplateMail struct {
	TemplateID string
	Params     map[string]string
	Subject    string
	Address    Address
}

// Sender is the contract. Its methods are safe for concurrent use, return
// promptly when ctx ends, and return the service's id of the request, or "".
type Sender interface {
	Send(ctx context.Context, m *Mail) (requestID string, err error)
	SendTemplate(ctx context.Context, m *TemplateMail) (requestID string, err error)
	// Close releases everything. It is safe twice.
	Close() error
}
