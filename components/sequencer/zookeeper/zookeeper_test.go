package zookeeper

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/internal/zknode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[sequencer.Sequencer, *sequencer.Counted] {
	return backendtest.Backend[sequencer.Sequencer, *sequencer.Counted]{
		Path: "sequencer.test", Type: Type, New: New,
		Address:  "zookeeperHosts",
		Metadata: map[string]any{"zookeeperPassword": "", "sessionTimeout": "30", "logInfo": "false"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := testserver.ZooKeeper(t)
	sequencertest.Run(t, sequencertest.Options{Ids: 400, New: backend().Maker(server.Addr, nil)})
}

// Layotto's nodes end with its session, and count in 32 bits: what they have
// counted goes on, and neither is so any more.
func TestLayotto(t *testing.T) {
	server := testserver.ZooKeeper(t)
	s := backend().Open(t, server.Addr, nil)
	layotto, err := zknode.Open(t.Context(), zknode.Metadata{Hosts: server.Addr, SessionTimeout: 30 * time.Second}, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layotto.Conn().Create("/sequencer|||app||K", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		if _, err := layotto.Conn().Set("/sequencer|||app||K", nil, -1); err != nil {
			t.Fatal(err)
		}
	}
	next := func(want int64) {
		t.Helper()
		if id, err := s.Next(t.Context(), "sequencer|||app||K"); err != nil || id != want {
			t.Fatalf("%d, %v, want %d", id, err, want)
		}
	}
	next(8)
	if err := layotto.Close(); err != nil {
		t.Fatal(err)
	}
	next(9)
	server.Stop()
	server.Start()
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	for {
		id, err := s.Next(ctx, "sequencer|||app||K")
		if err == nil {
			if id < 10 {
				t.Errorf("after a restart: %d", id)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestForeignNode(t *testing.T) {
	server := testserver.ZooKeeper(t)
	s := backend().Open(t, server.Addr, nil)
	other, err := zknode.Open(t.Context(), zknode.Metadata{Hosts: server.Addr, SessionTimeout: 30 * time.Second}, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := other.Conn().Create("/foreign", []byte("hello"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context(), "foreign"); err == nil || !strings.Contains(err.Error(), "no number of a sequence") {
		t.Errorf("%v", err)
	}
}

func TestFaultsUnderLoad(t *testing.T) {
	server := testserver.ZooKeeper(t)
	link := testserver.NewLink(t, server.Addr)
	short := map[string]any{"sessionTimeout": "3"}
	all := []*sequencer.Counted{backend().Open(t, server.Addr, short), backend().Open(t, link.Addr, short)}
	sequencertest.FaultsUnderLoad(t, all, sequencertest.FaultOptions{
		Timeout: 200 * time.Millisecond, Least: 50,
		Faults: func() {
			for range 3 {
				testserver.Round(nil, 100*time.Millisecond, server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend)
			}
		},
	})
}
