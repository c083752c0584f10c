// Package local keeps short messages in a file instead of sending them, type
// "local": for development and tests of applications.
package local

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/outbox"
	"github.com/ottavo-runtime/ottavo/components/sms"
)

// Type is the name by which a configuration asks for it.
const Type = "local"

// Metadata are the settings.
type Metadata = outbox.Metadata

type sender struct{ *outbox.Outbox }

// New opens the file.
func New(_ context.Context, env components.Env, cfg components.Config) (sms.Sender, error) {
	o, err := outbox.Open(env, cfg)
	if err != nil {
		return nil, err
	}
	return sender{o}, nil
}

// Send implements sms.Sender.
func (s sender) Send(ctx context.Context, m *sms.Message) (string, []sms.Result, error) {
	id, err := s.Put(ctx, m)
	if err != nil {
		return "", nil, err
	}
	results := make([]sms.Result, len(m.PhoneNumbers))
	for i, number := range m.PhoneNumbers {
		results[i] = sms.Result{Code: "Ok", Message: "kept in the outbox", Metadata: map[string]string{"PhoneNumber": number}}
	}
	return id, results, nil
}
