package capability

import (
	"context"
	"testing"
	"time"
)

// late is a context whose time is up, but which nobody has told so yet.
type late struct {
	context.Context
	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }

// TestContextKind: a caller's time is up by the clock, too: components that go by it
// return before a busy machine has ended the context.
func TestContextKind(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		kind  Kind
		ended bool
	}{
		{"no end", t.Context(), Internal, false},
		{"an end to come", late{t.Context(), time.Now().Add(time.Hour)}, Internal, false},
		{"an end that has passed", late{t.Context(), time.Now()}, Deadline, true},
		{"canceled", canceled, Canceled, true},
	} {
		if kind, ended := contextKind(tt.ctx); kind != tt.kind || ended != tt.ended {
			t.Errorf("%s: %s, %t, want %s, %t", tt.name, kind, ended, tt.kind, tt.ended)
		}
	}
}
