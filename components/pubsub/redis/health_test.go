package redis

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Health tells what publishing would hear, though the connection stays as it is, and
// publishes nothing.
func TestHealthIsThatOfPublishing(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~topic*", "+@all")
	b := newBroker(t, server, "g", "redisUsername", "app", "redisPassword", "pw", "maxRetries", "-1")
	if err := b.Check(t.Context()); err != nil {
		t.Fatalf("before the first event, with no right to the key of checks: %v", err)
	}
	if n := server.Command("DBSIZE"); n != ":0" {
		t.Errorf("a check has made a key: %s", n)
	}
	publish(t, b, "topic", "first")
	for _, step := range []struct {
		name    string
		command []string
		words   string // of the error; "": healthy
	}{
		{"new", []string{"PING"}, ""},
		{"no right to publish", []string{"ACL", "SETUSER", "app", "-xadd"}, "NOPERM"},
		{"it is back", []string{"ACL", "SETUSER", "app", "+xadd"}, ""},
		{"no right to the topic", []string{"ACL", "SETUSER", "app", "resetkeys", "~other*"}, "NOPERM"},
		{"it is back, too", []string{"ACL", "SETUSER", "app", "resetkeys", "~topic*"}, ""},
		{"no room", []string{"CONFIG", "SET", "maxmemory", "1"}, "OOM"},
		{"there is room", []string{"CONFIG", "SET", "maxmemory", "0"}, ""},
		{"a replica", []string{"REPLICAOF", "127.0.0.1", "1"}, "READONLY"},
		{"a master", []string{"REPLICAOF", "NO", "ONE"}, ""},
	} {
		if reply := server.Command(step.command...); strings.HasPrefix(reply, "-") {
			t.Fatalf("%s: %s", step.name, reply)
		}
		publishErr := b.Publish(t.Context(), &pubsub.Message{Topic: "topic2", Data: []byte("x")})
		err := b.Check(t.Context())
		if (err == nil) != (step.words == "") || (err == nil) != (publishErr == nil) || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("%s: Check says %v, publishing %v; want an error with %q", step.name, err, publishErr, step.words)
		}
	}
	if n := server.Command("XLEN", "topic"); n != ":1" {
		t.Errorf("checks have published: %s messages, want the one", n)
	}
}

// A subscriber without the right to publish is healthy, and misses the right to
// acknowledge.
func TestHealthOfSubscribers(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~topic*", "+@all", "-xadd")
	b := newBroker(t, server, "g", "redisUsername", "app", "redisPassword", "pw")
	in := &inbox{}
	subscribe(t, b, "topic", in.take)
	publish(t, newBroker(t, server, "other"), "topic", "x")
	eventually(t, "the message comes", func() bool { return in.len() == 1 })
	eventually(t, "the subscription reads on", func() bool { return b.subscribed.Key() != "" })
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("who may not publish, and does not: %v", err)
	}
	for _, command := range []string{"xack", "xreadgroup"} {
		server.Command("ACL", "SETUSER", "app", "-"+command)
		if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), command) {
			t.Errorf("without %s: %v", command, err)
		}
		server.Command("ACL", "SETUSER", "app", "+"+command)
		if err := b.Check(t.Context()); err != nil {
			t.Errorf("with %s again: %v", command, err)
		}
	}
}
