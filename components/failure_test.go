package components_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
)

func TestFailures(t *testing.T) {
	plain := errors.New("no such table")
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, tt := range map[string]struct {
		err        error
		late, away bool
	}{
		"none":                          {nil, false, false},
		"an answer":                     {plain, false, false},
		"the caller's end":              {context.Canceled, false, false},
		"a deadline":                    {fmt.Errorf("no answer: %w", context.DeadlineExceeded), true, false},
		"a read that took too long":     {&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, true, false},
		"a connection in vain":          {dial(os.ErrDeadlineExceeded), true, false},
		"refused":                       {fmt.Errorf("redis: %w", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))), false, true},
		"reset":                         {os.NewSyscallError("read", syscall.ECONNRESET), false, true},
		"closed by the other side":      {io.ErrUnexpectedEOF, false, true},
		"no such host":                  {&net.DNSError{Err: "no such host", IsNotFound: true}, false, true},
		"a name that nobody looks up":   {&net.DNSError{Err: "i/o timeout", IsTimeout: true}, true, false},
		"marked away":                   {fmt.Errorf("x: %w", components.Away(plain)), false, true},
		"marked away, after a while":    {components.Away(fmt.Errorf("no server: %w", context.DeadlineExceeded)), false, true},
		"marked late":                   {fmt.Errorf("x: %w", components.Late(plain)), true, false},
		"several, one of them too late": {errors.Join(io.EOF, context.DeadlineExceeded), true, false},
		"nothing to mark":               {errors.Join(components.Away(nil), components.Late(nil)), false, false},
	} {
		if late, away := components.IsLate(tt.err), components.IsAway(tt.err); late != tt.late || away != tt.away {
			t.Errorf("%s (%v): late %t, away %t; want %t, %t", name, tt.err, late, away, tt.late, tt.away)
		}
	}
	if got := components.Away(plain); got.Error() != plain.Error() || !errors.Is(got, plain) {
		t.Errorf("Away changes the error: %v", got)
	}
}
