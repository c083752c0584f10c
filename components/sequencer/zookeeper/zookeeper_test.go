package zookeeper

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/zknode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSequencer(t *testing.T, hosts string) sequencer.Sequencer {
	t.Helper()
	s, err := New(t.Context(), components.Env{}, components.Config{
		Name: "test", Type: Type, Path: "sequencer.test",
		Metadata: map[string]any{"zookeeperHosts": hosts, "zookeeperPassword": "", "sessionTimeout": "3", "logInfo": "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s sequencer.Sequencer) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := testserver.ZooKeeper(t)
	sequencertest.Run(t, sequencertest.Options{Ids: 400, New: func(t *testing.T) sequencer.Sequencer { return newSequencer(t, server.Addr) }})
}

// Layotto's nodes end with its session, and count in 32 bits: what they have
// counted goes on, and neither is so any more.
func TestLayotto(t *testing.T) {
	server := testserver.ZooKeeper(t)
	s := newSequencer(t, server.Addr)
	closed(t, s)
	layotto, err := zknode.Open(t.Context(), zknode.Metadata{Hosts: server.Addr, SessionTimeout: time.Second}, "", nil, nil)
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
	s := newSequencer(t, server.Addr)
	closed(t, s)
	other, err := zknode.Open(t.Context(), zknode.Metadata{Hosts: server.Addr, SessionTimeout: time.Second}, "", nil, nil)
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
	all := []sequencer.Sequencer{newSequencer(t, server.Addr), newSequencer(t, link.Addr)}
	load := sequencertest.NewLoad(t, true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for i := range 6 {
		closed(t, all[i%2])
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = load.Try(ctx, func(ctx context.Context) (int64, error) { // failures are expected
					ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
					defer cancel()
					return all[i%2].Next(ctx, "k")
				})
			}
		})
	}
	for range 3 {
		for _, step := range []func(){server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend} {
			step()
			<-time.After(100 * time.Millisecond)
		}
	}
	stop()
	wg.Wait()
	if ids := load.Check(); len(ids) < 50 {
		t.Errorf("only %d ids", len(ids))
	}
}
