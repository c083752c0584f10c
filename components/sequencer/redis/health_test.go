package redis

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Health tells what counting would hear, though the connection stays as it is; and it
// takes no ids.
func TestHealthIsThatOfIds(t *testing.T) {
	server := testserver.Redis(t)
	s := backend().Open(t, server.Addr, nil)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("before the first id: %v", err)
	}
	want := int64(0)
	for _, step := range []struct {
		name, words string // of the error; "": healthy
		command     []string
	}{
		{"new", "", []string{"PING"}},
		{"no right to count", "NOPERM", []string{"ACL", "SETUSER", "default", "-incrby"}},
		{"it is back", "", []string{"ACL", "SETUSER", "default", "+incrby"}},
		{"no room", "OOM", []string{"CONFIG", "SET", "maxmemory", "1"}},
		{"there is room", "", []string{"CONFIG", "SET", "maxmemory", "0"}},
		{"a replica", "READONLY", []string{"REPLICAOF", "127.0.0.1", "1"}},
		{"a master", "", []string{"REPLICAOF", "NO", "ONE"}},
	} {
		server.Command(step.command...)
		id, idErr := s.Next(t.Context(), "k")
		if step.words == "" {
			want++
		}
		if idErr == nil && id != want {
			t.Errorf("%s: the id %d, want %d", step.name, id, want)
		}
		err := s.Check(t.Context())
		if (err == nil) != (step.words == "") || (err == nil) != (idErr == nil) || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("%s: Check says %v, an id %v; want an error with %q", step.name, err, idErr, step.words)
		}
	}
}
