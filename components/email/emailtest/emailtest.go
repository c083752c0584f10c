// Package emailtest holds the tests that every email.Sender passes.
package emailtest

import (
	"context"
	"errors"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/internal/sendtest"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) email.Sender) {
	t.Helper()
	sendtest.Run(t, open, "Send", send)
	t.Run("SendTemplate", func(t *testing.T) {
		s := open(t)
		id, err := s.SendTemplate(t.Context(), &email.TemplateMail{TemplateID: "welcome", Subject: "hi", Address: email.Address{From: "a@example.com", To: []string{"readers"}}})
		if err != nil || id == "" {
			t.Errorf("SendTemplate = %q, %v", id, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// send sends a mail and wants the id of the request.
func send(ctx context.Context, s email.Sender) error {
	id, err := s.Send(ctx, &email.Mail{Subject: "hi", Text: "line\nline, and more: äöü", Address: email.Address{From: "a@example.com", To: []string{"b@example.com"}, Cc: []string{"c@example.com"}}})
	if err == nil && id == "" {
		err = errors.New("no id of the request")
	}
	return err
}
