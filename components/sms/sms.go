// Package sms is the contract of services that send short messages.
package sms

import "context"

// Message is a text of the service's, sent to some numbers.
type Message struct {
	PhoneNumbers []string
	TemplateID   string
	Params       map[string]string
	// SignName is the name that it is signed with; SenderID is who sends, for
	// services that have it.
	SignName, SenderID string
	Metadata           map[string]string
}

// Result is what became of one number.
type Result struct {
	Code, Message string
	Metadata      map[string]string
}

// Sender is the contract. It is safe for concurrent use.
type Sender interface {
	// Send returns one result per number, in their order, and the service's id of
	// the request, or "". It returns promptly when ctx ends.
	Send(ctx context.Context, m *Message) (requestID string, results []Result, err error)
	// Close releases everything. It is safe twice.
	Close() error
}
