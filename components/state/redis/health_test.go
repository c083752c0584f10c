package redis

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Health tells what writes would hear, though the connection stays as it is, and
// changes nothing. What the user was never allowed is no illness.
func TestHealthIsThatOfWrites(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~app*", "+@all")
	s := newStore(t, metadata(server, "redisUsername", "app", "redisPassword", "pw", "maxRetries", "-1"))
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("before the first write, with no right to the key of checks: %v", err)
	}
	if n := server.Command("DBSIZE"); n != ":0" {
		t.Errorf("a check has made a key: %s", n)
	}
	set(t, s, "app||k", "v")
	version := get(t, s, "app||k").ETag
	for _, step := range []struct {
		name    string
		command []string
		words   string // of the error; "": healthy
		away    bool
	}{
		{"new", []string{"PING"}, "", false},
		{"no right to write", []string{"ACL", "SETUSER", "app", "-hset"}, "can't run this command", false},
		{"it is back", []string{"ACL", "SETUSER", "app", "+hset"}, "", false},
		{"no right to scripts", []string{"ACL", "SETUSER", "app", "-evalsha"}, "NOPERM", false},
		{"it is back, too", []string{"ACL", "SETUSER", "app", "+evalsha"}, "", false},
		{"no right to the keys", []string{"ACL", "SETUSER", "app", "resetkeys", "~other*"}, "NOPERM", false},
		{"they are back", []string{"ACL", "SETUSER", "app", "resetkeys", "~app*"}, "", false},
		{"no room", []string{"CONFIG", "SET", "maxmemory", "1"}, "OOM", false},
		{"there is room", []string{"CONFIG", "SET", "maxmemory", "0"}, "", false},
		{"too few replicas", []string{"CONFIG", "SET", "min-replicas-to-write", "1"}, "NOREPLICAS", false},
		{"enough", []string{"CONFIG", "SET", "min-replicas-to-write", "0"}, "", false},
		{"a replica", []string{"REPLICAOF", "127.0.0.1", "1"}, "READONLY", true},
		{"a master", []string{"REPLICAOF", "NO", "ONE"}, "", false},
		{"the user is gone", []string{"ACL", "DELUSER", "app"}, "WRONGPASS", false},
	} {
		if reply := server.Command(step.command...); strings.HasPrefix(reply, "-") {
			t.Fatalf("%s: %s", step.name, reply)
		}
		writeErr := s.Write(t.Context(), state.Op{Key: "app||other", Value: []byte("x")})
		err := s.Check(t.Context())
		if (err == nil) != (step.words == "") || (err == nil) != (writeErr == nil) || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("%s: Check says %v, a write %v; want an error with %q", step.name, err, writeErr, step.words)
		}
		if components.IsAway(err) != step.away || components.IsLate(err) {
			t.Errorf("%s: away: %t, late: %t: %v", step.name, components.IsAway(err), components.IsLate(err), err)
		}
	}
	other := newStore(t, metadata(server))
	if got := get(t, other, "app||k"); string(got.Value) != "v" || got.ETag != version {
		t.Errorf("checks have changed the item: %+v, version %s before", got, version)
	}
}

// The right to read is missed once there was something to read.
func TestHealthOfReading(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "reader", "on", ">pw", "~app*", "+@connection", "+hgetall", "+pttl")
	set(t, newStore(t, metadata(server)), "app||k", "v")
	s := newStore(t, metadata(server, "redisUsername", "reader", "redisPassword", "pw"))
	get(t, s, "app||k")
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("who may only read: %v", err)
	}
	server.Command("ACL", "SETUSER", "reader", "-hgetall")
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "hgetall") {
		t.Errorf("who may not read any more: %v", err)
	}
}
