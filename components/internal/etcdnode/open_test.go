package etcdnode

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server that says nothing is told of as such, with the limit that has passed, and
// without the password.
func TestOpenInVain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing follows
	for _, password := range []string{"", "sesame"} {
		m := Metadata{Endpoints: l.Addr().String(), DialTimeout: 200 * time.Millisecond, Password: password}
		if password != "" {
			m.Username = "root"
		}
		_, err := Open(t.Context(), m, "lock.test.metadata")
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Fatalf("password %t: %v", password != "", err)
		}
		for _, words := range []string{"cannot connect", l.Addr().String(), "within 200ms (dialTimeout)"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("password %t: %v, want %q", password != "", err, words)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := Open(ctx, m, "lock.test.metadata"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("password %t, a caller with less patience: %v", password != "", err)
		}
		cancel()
	}
}
