package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[sequencer.Sequencer, *sequencer.Counted] {
	return backendtest.Backend[sequencer.Sequencer, *sequencer.Counted]{
		Path: "sequencer.test", Type: Type, New: New,
		Address:  "redisHost",
		Metadata: map[string]any{"readTimeout": 30000, "maxRetryBackoff": "20ms"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := testserver.Redis(t)
	sequencertest.Run(t, sequencertest.Options{New: backend().Maker(server.Addr, nil)})
}

// Numbers are where Layotto has them.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	s := backend().Open(t, server.Addr, nil)
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
	all := []*sequencer.Counted{backend().Open(t, server.Addr, nil), backend().Open(t, link.Addr, nil)}
	sequencertest.FaultsUnderLoad(t, all, sequencertest.FaultOptions{
		Timeout: 100 * time.Millisecond, Least: 100,
		Faults: func() {
			for range 3 {
				testserver.Round(nil, 50*time.Millisecond, server.Pause, server.Resume, link.Cut, link.Mend, link.Hold, link.Mend)
			}
		},
	})
	for _, s := range all {
		testserver.Eventually(t, testserver.Patience, func() error { return s.Check(t.Context()) })
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisPassword("sesame"))
	if _, err := backend().Try(t.Context(), server.Addr, map[string]any{"redisPassword": "wrong-one"}); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("a wrong password: %v", err)
	}
	s := backend().Open(t, server.Addr, map[string]any{"redisPassword": "sesame"})
	server.Stop()
	if _, err := s.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := backend().Try(t.Context(), server.Addr, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
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
	if _, err := backend().Open(t, full.Addr, nil).Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("full: %v", err)
	}
}
