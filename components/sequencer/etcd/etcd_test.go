package etcd

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/internal/etcdnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[sequencer.Sequencer, *sequencer.Counted] {
	return backendtest.Backend[sequencer.Sequencer, *sequencer.Counted]{
		Path: "sequencer.test", Type: Type, New: New,
		Address:  "endpoints",
		Metadata: map[string]any{"dialTimeout": "30s"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := etcd.Start(t)
	sequencertest.Run(t, sequencertest.Options{Ids: 500, New: backend().Maker(server.Addr, nil)})
}

// What Layotto has counted, versions of a key, goes on; and as long as there are
// no segments, Layotto can go on with it.
func TestLayout(t *testing.T) {
	server := etcd.Start(t)
	ctx := t.Context()
	layotto, err := etcdnode.Open(ctx, etcdnode.Metadata{Endpoints: server.Addr}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := layotto.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := backend().Open(t, server.Addr, nil)
	next := func(want int64) {
		t.Helper()
		if id, err := s.Next(ctx, "sequencer|||app||K"); err != nil || id != want {
			t.Fatalf("%d, %v, want %d", id, err, want)
		}
	}
	for range 7 {
		if _, err := layotto.Put(ctx, "/layotto/sequencer|||app||K", ""); err != nil {
			t.Fatal(err)
		}
	}
	next(8)
	next(9)
	resp, err := layotto.Get(ctx, "/layotto/sequencer|||app||K")
	if err != nil || resp.Kvs[0].Version != 9 {
		t.Fatalf("%v, %v", resp, err)
	}
	if _, err := layotto.Put(ctx, "/layotto/sequencer|||app||K", ""); err != nil {
		t.Fatal(err)
	}
	next(11)
	for _, foreign := range []string{"hello", "-1", "9223372036854775807"} {
		if _, err := layotto.Put(ctx, "/layotto/foreign", foreign); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(ctx, "foreign"); err == nil || !strings.Contains(err.Error(), "no number of a sequence") {
			t.Errorf("of %q: %v", foreign, err)
		}
	}
}

func TestFaultsUnderLoad(t *testing.T) {
	server := etcd.Start(t)
	link := testserver.NewLink(t, server.Addr)
	all := []*sequencer.Counted{backend().Open(t, server.Addr, nil), backend().Open(t, link.Addr, nil)}
	ids := sequencertest.FaultsUnderLoad(t, all, sequencertest.FaultOptions{
		Timeout: 200 * time.Millisecond, Least: 50,
		Faults: func() {
			for range 3 {
				testserver.Round(nil, 100*time.Millisecond, link.Hold, link.Mend, link.Cut, link.Mend)
			}
			testserver.Round(nil, 200*time.Millisecond, func() { server.Stop(); server.Start() })
		},
	})
	var last int64
	testserver.Eventually(t, testserver.Patience, func() (err error) { // connections come back by themselves
		last, err = all[1].Next(t.Context(), "k")
		return err
	})
	if len(ids) > 0 && last <= ids[len(ids)-1] {
		t.Errorf("afterwards: %d after %d", last, ids[len(ids)-1])
	}
}

func TestDown(t *testing.T) {
	server := etcd.Start(t)
	s := backend().Open(t, server.Addr, map[string]any{"dialTimeout": "5"})
	server.Stop()
	if _, err := s.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := backend().Try(t.Context(), server.Addr, map[string]any{"dialTimeout": "300ms"}); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
}
