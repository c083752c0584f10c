// Package smstest holds the tests that every sms.Sender passes.
package smstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/sms"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) sms.Sender) {
	t.Helper()
	begin := func(t *testing.T) sms.Sender {
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

// send sends a message to two numbers and wants an id and two results, in order.
func send(ctx context.Context, s sms.Sender) error {
	numbers := []string{"+8610", "+8611"}
	id, results, err := s.Send(ctx, &sms.Message{
		PhoneNumbers: numbers, TemplateID: "welcome", Params: map[string]string{"0": "eva"}, SignName: "name", Metadata: map[string]string{"SdkAppId": "app"},
	})
	switch {
	case err != nil:
		return err
	case id == "":
		return errors.New("no id of the request")
	case len(results) != len(numbers):
		return fmt.Errorf("%d results for %d numbers", len(results), len(numbers))
	}
	for i, r := range results {
		if r.Code == "" || r.Metadata["PhoneNumber"] != numbers[i] {
			return fmt.Errorf("result %d is %+v", i, r)
		}
	}
	return nil
}
