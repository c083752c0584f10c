package capability

import (
	"context"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/email"
)

// Operations of Email in an Error.
const (
	EmailSend         Op = "send"
	EmailSendTemplate Op = "send with template"
)

// Email sends mail through the services it was made from.
type Email struct {
	senders map[string]email.Sender
}

// NewEmail takes the services by their names. The map is copied.
func NewEmail(senders map[string]email.Sender) *Email {
	return &Email{senders: maps.Clone(senders)}
}

// Send sends a mail and returns the service's id of the request.
func (e *Email) Send(ctx context.Context, name string, m *email.Mail) (requestID string, err error) {
	s, err := e.find(EmailSend, name, m.Address)
	if err != nil {
		return "", err
	}
	id, err := s.Send(ctx, m)
	return id, messageError(ctx, EmailName, EmailSend, name, err)
}

// SendTemplate sends a mail whose text the service makes.
func (e *Email) SendTemplate(ctx context.Context, name string, m *email.TemplateMail) (requestID string, err error) {
	s, err := e.find(EmailSendTemplate, name, m.Address)
	if err != nil {
		return "", err
	}
	if m.TemplateID == "" {
		return "", missing(EmailName, EmailSendTemplate, name, "template_id is empty: say which template")
	}
	id, err := s.SendTemplate(ctx, m)
	return id, messageError(ctx, EmailName, EmailSendTemplate, name, err)
}

func (e *Email) find(op Op, name string, a email.Address) (email.Sender, error) {
	var senders map[string]email.Sender
	if e != nil {
		senders = e.senders
	}
	s, err := find(senders, EmailName, op, name)
	if err == nil && len(a.To) == 0 {
		err = missing(EmailName, op, name, "address.to is empty: a mail needs a receiver")
	}
	return s, err
}

// missing is the Error of a request that leaves out what it needs.
func missing(capability Name, op Op, component, msg string) error {
	return &Error{Kind: InvalidArgument, Capability: capability, Op: op, Component: component, Msg: msg}
}

// messageError makes an Error of what a service that sends messages returned.
func messageError(ctx context.Context, capability Name, op Op, component string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: failureKind(ctx), Capability: capability, Op: op, Component: component, Err: err}
}
