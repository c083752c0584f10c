package locktest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Outage says what can be done to a server while a locker uses it.
type Outage struct {
	// Hang and Resume let the server be silent for a while; Stop and Start end it and
	// start it again.
	Hang, Resume, Stop, Start func()
	// Addr is the address in messages.
	Addr string
	// Silent is what the error of a call says that the server does not answer within
	// the locker's own limit; nil: such calls are not made.
	Silent []string
	// New makes another locker, and Secret is a password in its settings, if any.
	New    func(ctx context.Context) (lock.Locker, error)
	Secret string
	// AtOnce says that the first call works when the server is back, unless the machine
	// is too slow for the locker's own limit.
	AtOnce bool
}

// outageLimit is how long calls may take altogether while a server is down.
const outageLimit = time.Minute

// Outages checks what is said of a server that hangs, that is down and is down at
// the start; that nobody waits for it longer than he wants to; and that all is well
// when it is back.
func Outages(t *testing.T, l lock.Locker, o Outage) {
	t.Helper()
	try := func() error {
		_, err := l.TryLock(t.Context(), "outage", "a", time.Second)
		return err
	}
	check := func() error { return l.(components.Checker).Check(t.Context()) }
	says := func(what string, err error, words ...string) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; does not say %q", what, err, w)
			}
		}
		if o.Secret != "" && strings.Contains(err.Error(), o.Secret) {
			t.Errorf("%s: the error holds the password", what)
		}
	}
	works := func() error { return errors.Join(try(), check()) }
	back := func(what string) {
		t.Helper()
		if o.AtOnce {
			if err := works(); err != nil && !components.IsLate(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		testserver.Eventually(t, testserver.Patience, works)
	}
	testserver.Eventually(t, testserver.Patience, works)
	o.Hang()
	if o.Silent != nil {
		says("hanging", try(), o.Silent...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Renew(ctx, "outage", "a", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging, with a deadline: %v", err)
	}
	o.Resume()
	back("awake again")
	o.Stop()
	began := time.Now()
	says("down", try(), o.Addr)
	if err := check(); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	_, err := o.New(t.Context())
	says("down at the start", err, "cannot connect", o.Addr)
	if d := time.Since(began); d > outageLimit {
		t.Errorf("calls took %s while it was down", d)
	}
	o.Start()
	back("up again")
}
