package redis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Health tells what locks would hear, though the connection stays as it is: that the
// user may no longer write, or that the server takes no writes.
func TestHealthIsThatOfLocks(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
	l := backend().Open(t, server.Addr, map[string]any{"redisUsername": "app", "redisPassword": "pw", "maxRetryBackoff": "10ms"})
	for _, step := range []struct {
		name        string
		command     []string
		words       string // of the error; "": healthy
		unavailable bool
	}{
		{"new", []string{"PING"}, "", false},
		{"no right to write", []string{"ACL", "SETUSER", "app", "-set"}, "can't run this command", false},
		{"it is back", []string{"ACL", "SETUSER", "app", "+set"}, "", false},
		{"no right to our keys", []string{"ACL", "SETUSER", "app", "resetkeys", "~other*"}, "key", false},
		{"they are back", []string{"ACL", "SETUSER", "app", "~*"}, "", false},
		{"another password, which ends no session", []string{"ACL", "SETUSER", "app", "resetpass", ">new"}, "", false},
		{"the one we have", []string{"ACL", "SETUSER", "app", ">pw"}, "", false},
		{"no room", []string{"CONFIG", "SET", "maxmemory", "1"}, "OOM", false},
		{"there is room", []string{"CONFIG", "SET", "maxmemory", "0"}, "", false},
		{"a replica", []string{"REPLICAOF", "127.0.0.1", "1"}, "READONLY", true},
		{"a master", []string{"REPLICAOF", "NO", "ONE"}, "", false},
		{"the user is gone", []string{"ACL", "DELUSER", "app"}, "WRONGPASS", false},
	} {
		server.Command(step.command...)
		_, lockErr := l.TryLock(t.Context(), step.name, "me", time.Minute)
		err := l.Check(t.Context())
		if (err == nil) != (step.words == "") || (err == nil) != (lockErr == nil) || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("%s: Check says %v, a lock %v; want an error with %q", step.name, err, lockErr, step.words)
		}
		if components.IsAway(err) != step.unavailable || components.IsLate(err) {
			t.Errorf("%s: away: %t, late: %t: %v", step.name, components.IsAway(err), components.IsLate(err), err)
		}
	}
}

// A check leaves the last token as it is.
func TestCheckKeepsTheToken(t *testing.T) {
	server := testserver.Redis(t)
	l := backend().Open(t, server.Addr, nil)
	var last uint64
	for _, name := range []string{"a", "b", "c"} {
		g, err := l.TryLock(t.Context(), name, "me", time.Minute)
		if err = errors.Join(err, l.Check(t.Context())); err != nil || g.Token <= last {
			t.Fatalf("token %v after %d: %v", g, last, err)
		}
		last = g.Token
	}
}
