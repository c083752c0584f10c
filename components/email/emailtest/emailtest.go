// Package emailtest holds the tests that every email.Sender passes.
package emailtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/email"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) email.Sender) {
	t.Helper()
	begin := func(t *testing.T) email.Sender {
		c := open(t)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	t.Run("Send", func(t *testing.T) {
		if err := send(t.Context(), begin(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("SendTemplate", func(t *testing.T) {
		id, err := begin(t).SendTemplate(t.Context(), &email.TemplateMail{TemplateID: "welcome", Subject: "hi", Address: email.Address{From: "a@example.com", To: []string{"readers"}}})
		if err != nil || id == "" {
			t.Errorf("SendTemplate = %q, %v", id, err)
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		c := begin(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := send(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := send(ctx, begin(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
	t.Run("Closed twice", func(t *testing.T) {
		c := begin(t)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
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
