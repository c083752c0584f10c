package memcached_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state/memcached"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestSuite(t *testing.T) {
	matrix.Backend(t, "state", "memcached")
	s := testserver.Memcached(t)
	statetest.Run(t, statetest.Options{
		New:     statetest.New(memcached.New(), map[string]any{"hosts": s.Addr, "timeout": "30000"}),
		TTLUnit: time.Second, NoExpiry: true, MaxValue: 1000 << 10, // memcached takes items below 1 MiB
		Keys: func(key string) bool {
			return len(key) <= 250 && !slices.ContainsFunc([]byte(key), func(b byte) bool { return b <= ' ' || b == 0x7f })
		},
	})
}

func TestFaults(t *testing.T) {
	s := testserver.Memcached(t)
	link := testserver.NewLink(t, s.Addr)
	statetest.Faults(t, statetest.FaultOptions{Factory: memcached.New(), Metadata: map[string]any{"hosts": link.Addr}, Link: link})
}
