// Package phonetest holds the tests that every phone.Caller passes.
package phonetest

import (
	"context"
	"errors"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/internal/sendtest"
	"github.com/ottavo-runtime/ottavo/components/phone"
)

// Run tests what open makes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) phone.Caller) {
	t.Helper()
	sendtest.Run(t, open, "Call", call)
}

// call makes a call and wants the id of the request.
func call(ctx context.Context, c phone.Caller) error {
	id, err := c.Call(ctx, &phone.Call{TemplateID: "welcome", Params: map[string]string{"name": "eva"}, To: []string{"0049"}, From: "0041"})
	if err == nil && id == "" {
		err = errors.New("no id of the request")
	}
	return err
}
