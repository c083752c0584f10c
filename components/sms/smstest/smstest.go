// Package smstest holds the tests that every sms.Sender passes.
package smstest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/internal/sendtest"
	"github.com/ottavo-runtime/ottavo/components/sms"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) sms.Sender) {
	t.Helper()
	sendtest.Run(t, open, "Send", send)
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
