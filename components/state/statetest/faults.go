package statetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// FaultOptions say what to put to the faults.
type FaultOptions struct {
	// Factory makes stores from Metadata, whose server is behind Link.
	Factory  components.Factory[state.Store]
	Metadata map[string]any
	Link     *testserver.Link
	// LateConnect: a store whose server is down is made without an error.
	LateConnect bool
	// WrongCredentials are settings with a wrong password, Secret; nil: the server
	// has none.
	WrongCredentials map[string]any
	Secret           string
}

// graceAfterEnd is how long a call may go on when its context has ended.
const graceAfterEnd = time.Second

// Faults lets a store's server be down at the start, go down and come back, hang,
// and refuse the password.
func Faults(t *testing.T, o FaultOptions) {
	t.Helper()
	t.Run("DownAtStart", o.downAtStart)
	t.Run("DownLater", o.downLater)
	t.Run("Hangs", o.hangs)
	if o.WrongCredentials != nil {
		t.Run("WrongCredentials", o.wrongCredentials)
	}
}

// open makes a store that the test closes.
func (o FaultOptions) open(t *testing.T) state.Store {
	t.Helper()
	s, err := Open(t.Context(), o.Factory, o.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// health asks a store how it is, within some seconds.
func health(t *testing.T, s state.Store) error {
	t.Helper()
	c, ok := s.(components.Checker)
	if !ok {
		t.Fatal("the store cannot tell how it is")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Check(ctx)
}

// recovers waits until a store feels well.
func recovers(t *testing.T, s state.Store) {
	t.Helper()
	testserver.Eventually(t, testserver.Patience, func() error { return health(t, s) })
}

// inTime calls something that has a limit, and returns an error when it went on for
// more than a grace after that.
func inTime(t *testing.T, limit, grace time.Duration, call func(ctx context.Context)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	start := time.Now()
	call(ctx)
	if took := time.Since(start); took > limit+grace {
		return fmt.Errorf("with a limit of %s it took %s", limit, took)
	}
	return nil
}

func (o FaultOptions) downAtStart(t *testing.T) {
	o.Link.Cut()
	defer o.Link.Mend()
	s, err := Open(t.Context(), o.Factory, o.Metadata)
	if err == nil {
		defer s.Close() //nolint:errcheck // it never connected
		if !o.LateConnect {
			t.Fatal("a store was made although its server is down")
		}
		if health(t, s) == nil {
			t.Error("it feels well although its server is down")
		}
		return
	}
	if len(err.Error()) < 10 || strings.Contains(err.Error(), testserver.SQLPassword) {
		t.Errorf("the error is of no use, or says too much: %v", err)
	}
	t.Logf("down at the start: %v", err)
	o.Link.Mend()
	recovers(t, o.open(t))
}

func (o FaultOptions) downLater(t *testing.T) {
	s := o.open(t)
	const key = "faults-down-later"
	if err := s.Write(t.Context(), state.Op{Key: key, Value: []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	recovers(t, s)
	o.Link.Cut()
	testserver.Eventually(t, testserver.Patience, func() error {
		if health(t, s) == nil {
			return errors.New("it feels well, and its server is down")
		}
		return nil
	})
	testserver.OnceOf(t, func(int) error {
		return inTime(t, 2*time.Second, 2*graceAfterEnd, func(ctx context.Context) {
			err := s.Write(ctx, state.Op{Key: key, Value: []byte("lost")})
			if err == nil || errors.Is(err, state.ErrETagMismatch) || errors.Is(err, state.ErrClosed) || errors.Is(err, state.ErrInvalid) {
				t.Errorf("a write without a server: %v", err)
			}
			t.Logf("down: %v", err)
			if _, err := s.Get(ctx, state.Get{Key: key}); err == nil {
				t.Error("a read without a server succeeds")
			}
		})
	})
	o.Link.Mend()
	recovers(t, s)
	item, err := s.Get(t.Context(), state.Get{Key: key})
	if err != nil || item == nil || string(item.Value) != "kept" {
		t.Errorf("after the server came back: %v, %v", item, err)
	}
}

func (o FaultOptions) hangs(t *testing.T) {
	s := o.open(t)
	recovers(t, s)
	o.Link.Hold()
	defer o.Link.Mend()
	for name, call := range map[string]func(context.Context) error{
		"Get":   func(ctx context.Context) error { _, err := s.Get(ctx, state.Get{Key: "faults-hang"}); return err },
		"Write": func(ctx context.Context) error { return s.Write(ctx, state.Op{Key: "faults-hang", Value: []byte("v")}) },
	} {
		testserver.OnceOf(t, func(int) error {
			return inTime(t, 200*time.Millisecond, graceAfterEnd, func(ctx context.Context) {
				if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s of a server that hangs: %v, want the context's end", name, err)
				}
			})
		})
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
		cancel()
	}
	o.Link.Mend()
	recovers(t, s)
}

func (o FaultOptions) wrongCredentials(t *testing.T) {
	s, err := Open(t.Context(), o.Factory, o.WrongCredentials)
	if err == nil {
		_ = s.Close()
		t.Fatal("a store was made with a wrong password")
	}
	if strings.Contains(err.Error(), o.Secret) {
		t.Errorf("the error shows the password: %v", err)
	}
	t.Logf("wrong password: %v", err)
}
