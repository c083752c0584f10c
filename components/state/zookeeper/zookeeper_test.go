package zookeeper_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/components/state/zookeeper"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	matrix.Backend(t, "state", "zookeeper")
	s := testserver.ZooKeeper(t)
	for name, prefix := range map[string]string{"root": "", "prefix": "/a/b"} {
		t.Run(name, func(t *testing.T) {
			statetest.Run(t, statetest.Options{
				New:      statetest.New(zookeeper.New, map[string]any{"servers": s.Addr, "keyPrefixPath": prefix, "sessionTimeout": "30s", "timeout": "30s"}),
				MaxValue: 1000 << 10, // a packet of ZooKeeper has 1 MiB
			})
		})
	}
}

func TestFaults(t *testing.T) {
	s := testserver.ZooKeeper(t)
	link := testserver.NewLink(t, s.Addr)
	statetest.Faults(t, statetest.FaultOptions{
		Factory: zookeeper.New, Metadata: map[string]any{"servers": link.Addr, "sessionTimeout": "5s", "timeout": "5s"}, Link: link,
	})
}
