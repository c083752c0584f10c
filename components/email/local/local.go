// Package local keeps mails in a file instead of sending them, type "local": for
// development and tests of applications.
package local

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/internal/outbox"
)

// Type is the name by which a configuration asks for it.
const Type = "local"

// Metadata are the settings.
type Metadata = outbox.Metadata

type sender struct{ *outbox.Outbox }

// New opens the file.
func New(_ context.Context, env components.Env, cfg components.Config) (email.Sender, error) {
	o, err := outbox.Open(env, cfg)
	if err != nil {
		return nil, err
	}
	return sender{o}, nil
}

// Send implements email.Sender.
func (s sender) Send(ctx context.Context, m *email.Mail) (string, error) { return s.Put(ctx, m) }

// SendTemplate implements email.Sender.
func (s sender) SendTemplate(ctx context.Context, m *email.TemplateMail) (string, error) {
	return s.Put(ctx, m)
}
