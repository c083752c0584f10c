package redis

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// TestConformanceCluster runs the suite against a cluster of two nodes; the
// keys of the suite's transactions carry tags.
func TestConformanceCluster(t *testing.T) {
	matrix.Backend(t, "state", "redis")
	nodes := testserver.RedisCluster(t, 2)
	statetest.Run(t, statetest.Options{New: func(t *testing.T) state.Store {
		s, err := tryNew(t.Context(), metadata(nodes[0], "redisType", "cluster"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
	for _, n := range nodes {
		if got := n.Command("DBSIZE"); got == ":0" {
			t.Errorf("node %s holds no keys", n.Addr)
		}
	}
}

func TestClusterSlots(t *testing.T) {
	nodes := testserver.RedisCluster(t, 2)
	s := newStore(t, metadata(nodes[1], "redisType", "cluster"))
	err := s.Transact(t.Context(), []state.Op{{Key: "a"}, {Key: "b"}})
	if err == nil || !strings.Contains(err.Error(), "hash slots") || !strings.Contains(err.Error(), "{tag}") {
		t.Errorf("a transaction over slots: %v", err)
	}
	if get(t, s, "a") != nil {
		t.Error("a refused transaction was half carried out")
	}
	if err := s.Transact(t.Context(), []state.Op{{Key: "{x}a"}, {Key: "{x}b"}}); err != nil {
		t.Error(err)
	}

	_, err = tryNew(t.Context(), metadata(testserver.Redis(t), "redisType", "cluster"))
	if err == nil || !strings.Contains(err.Error(), "set redisType to node") {
		t.Errorf("a single node as a cluster: %v", err)
	}
	asNode := newStore(t, metadata(nodes[0]))
	for _, key := range []string{"a", "b", "c", "d"} {
		if _, err := asNode.Get(t.Context(), state.Get{Key: key}); err != nil {
			if !strings.Contains(err.Error(), "set redisType to cluster") {
				t.Errorf("a cluster as a single node: %v", err)
			}
			return
		}
	}
	t.Error("one node has all keys, the test shows nothing")
}

func TestClusterOutage(t *testing.T) {
	nodes := testserver.RedisCluster(t, 2)
	s := newStore(t, metadata(nodes[0], "redisType", "cluster"))
	both := func() error {
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			if err := s.Write(t.Context(), state.Op{Key: key}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := both(); err != nil {
		t.Fatal(err)
	}
	nodes[1].Stop()
	if err := both(); err == nil || !strings.Contains(err.Error(), nodes[0].Addr) {
		t.Errorf("with half of the cluster: %v", err)
	}
	nodes[1].Start()
	eventually(t, both)
}
