package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, addr, password string) (*sequencer.Counted, error) {
	s, err := New(ctx, components.Env{}, components.Config{
		Name: "test", Type: Type, Path: "sequencer.test",
		Metadata: map[string]any{"redisHost": addr, "redisPassword": password, "readTimeout": 300, "maxRetryBackoff": "20ms"},
	})
	if err != nil {
		return nil, err
	}
	return s.(*sequencer.Counted), nil
}

func newSequencer(t *testing.T, addr string) *sequencer.Counted {
	t.Helper()
	s, err := tryNew(t.Context(), addr, "")
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
	server := testserver.Redis(t)
	sequencertest.Run(t, sequencertest.Options{New: func(t *testing.T) sequencer.Sequencer {
		s, err := tryNew(t.Context(), server.Addr, "")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

// Numbers are where Layotto has them.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	s := newSequencer(t, server.Addr)
	server.Command("INCRBY", "sequencer|||app||K", "41")
	if id, err := s.Next(t.Context(), "sequencer|||app||K"); err != nil || id != 42 {
		t.Errorf("%d, %v", id, err)
	}
	if got := server.Command("INCR", "sequencer|||app||K"); got != ":43" {
		t.Errorf("Layotto gets %s", got)
	}
	server.Command("SET", "text", "hello")
	if _, err := s.Next(t.Context(), "text"); err == nil || !strings.Contains(err.Error(), "not an integer") {
		t.Errorf("of what is no number: %v", err)
	}
	server.Command("SET", "negative", "-5")
	if id, err := s.Next(t.Context(), "negative"); err == nil {
		t.Errorf("of a negative number: %d", id)
	}
}

// While the server hangs and the network breaks, no id is given out twice or out
// of order, and afterwards all is well.
func TestFaultsUnderLoad(t *testing.T) {
	server := testserver.Redis(t)
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
					ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
					defer cancel()
					return all[i%2].Next(ctx, "k")
				})
			}
		})
	}
	for range 3 {
		for _, step := range []func(){server.Pause, server.Resume, link.Cut, link.Mend, link.Hold, link.Mend} {
			step()
			<-time.After(50 * time.Millisecond)
		}
	}
	stop()
	wg.Wait()
	if ids := load.Check(); len(ids) < 100 {
		t.Errorf("only %d ids", len(ids))
	}
	for _, s := range all {
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisPassword("sesame"))
	if _, err := tryNew(t.Context(), server.Addr, "wrong-one"); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("a wrong password: %v", err)
	}
	s, err := tryNew(t.Context(), server.Addr, "sesame")
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
	if _, err := tryNew(t.Context(), server.Addr, ""); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
	server.Start()
	if id, err := s.Next(t.Context(), "k"); err != nil || id != 1 {
		t.Errorf("up again: %d, %v", id, err)
	}
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging, with a deadline: %v", err)
	}
	server.Resume()
	full := testserver.Redis(t, testserver.RedisArgs("--maxmemory", "1", "--maxmemory-policy", "noeviction"))
	if _, err := newSequencer(t, full.Addr).Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("full: %v", err)
	}
}
