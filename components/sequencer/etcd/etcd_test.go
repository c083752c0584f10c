package etcd

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/etcdnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, endpoints, limit string) (*sequencer.Counted, error) {
	s, err := New(ctx, components.Env{}, components.Config{
		Name: "test", Type: Type, Path: "sequencer.test", Metadata: map[string]any{"endpoints": endpoints, "dialTimeout": limit},
	})
	if err != nil {
		return nil, err
	}
	return s.(*sequencer.Counted), nil
}

func newSequencer(t *testing.T, endpoints string) *sequencer.Counted {
	t.Helper()
	s, err := tryNew(t.Context(), endpoints, "5s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := etcd.Start(t)
	sequencertest.Run(t, sequencertest.Options{Ids: 500, New: func(t *testing.T) sequencer.Sequencer {
		s, err := tryNew(t.Context(), server.Addr, "10")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
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
	s := newSequencer(t, server.Addr)
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
	all := []*sequencer.Counted{newSequencer(t, server.Addr), newSequencer(t, link.Addr)}
	load := sequencertest.NewLoad(t, true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for i := range 6 {
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
		for _, step := range []func(){link.Hold, link.Mend, link.Cut, link.Mend} {
			step()
			<-time.After(100 * time.Millisecond)
		}
	}
	server.Stop()
	server.Start()
	<-time.After(200 * time.Millisecond)
	stop()
	wg.Wait()
	if ids := load.Check(); len(ids) < 50 {
		t.Errorf("only %d ids", len(ids))
	}
	last, err := int64(0), error(nil)
	for range 100 { // connections come back by themselves
		if last, err = all[1].Next(t.Context(), "k"); err == nil {
			break
		}
	}
	if ids := load.Check(); err != nil || last <= ids[len(ids)-1] {
		t.Errorf("afterwards: %d, %v", last, err)
	}
}

func TestDown(t *testing.T) {
	server := etcd.Start(t)
	s, err := tryNew(t.Context(), server.Addr, "1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	server.Stop()
	if _, err := s.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := tryNew(t.Context(), server.Addr, "300ms"); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
}
