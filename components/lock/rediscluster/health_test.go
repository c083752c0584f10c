package rediscluster

import (
	"strings"
	"testing"
	"time"
)

// Health is that of a majority: it counts who lets us write, not who answers.
func TestHealthIsThatOfLocks(t *testing.T) {
	all, hosts := servers(t, 3)
	l := backend().Open(t, hosts, nil)
	for i, step := range []struct {
		server  int
		command []string
		words   string // of the error; "": healthy
	}{
		{0, []string{"PING"}, ""},
		{0, []string{"REPLICAOF", "127.0.0.1", "1"}, ""},
		{1, []string{"CONFIG", "SET", "maxmemory", "1"}, "OOM"},
		{1, []string{"CONFIG", "SET", "maxmemory", "0"}, ""},
		{1, []string{"ACL", "SETUSER", "default", "-set"}, "1 of 3 servers answered"},
		{1, []string{"ACL", "SETUSER", "default", "+set"}, ""},
	} {
		all[step.server].Command(step.command...)
		grant, lockErr := l.TryLock(t.Context(), strings.Join(step.command, " "), "me", time.Minute)
		err := l.Check(t.Context())
		if (err == nil) != (step.words == "") || (err == nil) != (lockErr == nil && grant != nil) || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("step %d: Check says %v, a lock %v, %v; want an error with %q", i, err, grant, lockErr, step.words)
		}
	}
}
