//go:build full

package builtin

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestWideCassandra(t *testing.T) {
	matrix.Wide(t, "state", "cassandra", "Cassandra 5.0")
	s := testserver.Cassandra(t)
	host, port, _ := strings.Cut(s.Addr, ":")
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return openStore(t, "cassandra", map[string]any{"hosts": host, "port": port})
		},
		TTLUnit: time.Second,
		Keys:    func(key string) bool { return len(key) <= 65535 && utf8.ValidString(key) },
	})
}

func TestWideHazelcast(t *testing.T) {
	matrix.Wide(t, "state", "hazelcast", "Hazelcast 3.12")
	s := testserver.Hazelcast(t)
	text := func(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return openStore(t, "hazelcast", map[string]any{"hazelcastServers": s.Addr, "hazelcastMap": "state"})
		},
		Keys:   text,
		Values: func(value []byte) bool { return text(string(value)) },
	})
}

func TestWideCoherence(t *testing.T) {
	matrix.Wide(t, "state", "coherence", "Coherence 25.03")
	s := testserver.Coherence(t)
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return openStore(t, "coherence", map[string]any{"serverAddress": s.Addr})
		},
		TTLUnit: time.Second, NoExpiry: true,
	})
}
