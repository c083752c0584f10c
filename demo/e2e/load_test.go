package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

const (
	warmCalls   = 4_000
	loadCalls   = 10_000
	concurrency = 64
)

// load makes calls of 1 KiB through InvokeService and fails the test for every
// one (the first few in words) that does not get its own body back.
func load(t *testing.T, client *ottavo.Client, calls int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(calls); n = next.Add(1) {
				body := fmt.Appendf(bytes.Repeat([]byte{'x'}, 1000), "%024d", n)
				want := append([]byte("POST /hello "), body...)
				resp, err := client.Invoke(ctx, "hello", &ottavo.Request{Method: "/hello", Verb: "POST", Data: body, Timeout: callTime})
				if err == nil && !bytes.Equal(resp.Data, want) {
					err = fmt.Errorf("the answer is %q", resp.Data)
				}
				if err != nil && failed.Add(1) <= 5 {
					t.Errorf("call %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Fatalf("%d of %d calls failed", n, calls)
	}
}

// Ten thousand calls go through without an error, and leave nothing behind.
func TestLoad(t *testing.T) {
	p := ottavotest.Start(t, configuration("", service{"hello", echo(t).Listener.Addr().String()}))
	client := dial(t, p)
	alive(t, client)
	fresh := p.Usage()

	load(t, client, warmCalls) // fills pools, caches and the heap
	after := p.Usage()
	// What leaks grows each time; what the machine needed once, when it stood still, does not.
	testserver.OnceOf(t, func(int) error {
		warm := after
		load(t, client, loadCalls)
		after = p.Usage()
		t.Logf("fresh: %s; after %d calls or more: %s; after %d more: %s", fresh, warmCalls, warm, loadCalls, after)
		if grown := after.RSS - warm.RSS; grown > 16<<20 {
			return fmt.Errorf("memory has grown by %d MiB in the second load", grown>>20)
		}
		if after.Threads > warm.Threads+8 {
			return fmt.Errorf("threads: %d, then %d", warm.Threads, after.Threads)
		}
		return nil
	})
	if most := fresh.Files + concurrency + 8; after.Files > most {
		t.Errorf("%d file descriptors, want at most %d: one connection to the service for each call in flight", after.Files, most)
	}

	// Connections to the service are closed when they have been idle for a second.
	ottavotest.Eventually(t, 2*time.Minute, "the connections to the service are closed", func() error {
		if u := p.Usage(); u.Files > fresh.Files+8 {
			return fmt.Errorf("%d file descriptors, at the start %d", u.Files, fresh.Files)
		}
		return nil
	})
	// A call in flight takes one connection in memory, of a few goroutines, which
	// are kept for a while. One goroutine left behind by one call in a hundred
	// would be 140 of them.
	ottavotest.Eventually(t, 2*time.Minute, "few goroutines are left", func() error {
		if n, dump := p.Goroutines(); n > 2*concurrency+60 {
			return fmt.Errorf("%d goroutines:\n%s", n, dump)
		}
		return nil
	})
}

// sentCalls is a stats.Handler that notes, in the call's own atomic.Bool, that
// its request had left this side before told was set.
type sentCalls struct{ told atomic.Bool }

type sentKey struct{}

func (s *sentCalls) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (s *sentCalls) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutPayload); ok && !s.told.Load() {
		if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
			sent.Store(true)
		}
	}
}

func (s *sentCalls) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (s *sentCalls) HandleConn(context.Context, stats.ConnStats) {}

// SIGTERM under load loses no accepted call. Accepted are the calls whose request
// had left the client when the signal was sent, and all that reached the service.
// The others fail with UNAVAILABLE, and did nothing.
func TestTermDuringLoad(t *testing.T) {
	var mu sync.Mutex
	reached := make(map[string]bool)
	enough := make(chan struct{})
	backend := httptestServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		reached[r.URL.Path] = true
		if len(reached) == 500 {
			close(enough)
		}
		mu.Unlock()
		timer := time.NewTimer(25 * time.Millisecond) // so that there always are calls under way
		defer timer.Stop()
		select {
		case <-timer.C:
			_, _ = fmt.Fprint(w, r.URL.Path) // an error shows at the caller
		case <-r.Context().Done():
		}
	})
	p := ottavotest.Start(t, configuration("", service{"hello", backend}))
	sent := &sentCalls{}
	client := dial(t, p, grpc.WithStatsHandler(sent))

	type outcome struct {
		sent bool // before the signal
		err  error
	}
	outcomes := make(map[string]outcome)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range concurrency {
		wg.Go(func() {
			for n := 0; ; n++ {
				path := fmt.Sprintf("/%d/%d", w, n)
				var left atomic.Bool
				resp, err := client.Invoke(context.WithValue(ctx, sentKey{}, &left), "hello", &ottavo.Request{Method: path, Timeout: callTime})
				if err == nil && string(resp.Data) != path {
					err = fmt.Errorf("the answer is %q", resp.Data)
				}
				mu.Lock()
				outcomes[path] = outcome{left.Load(), err}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("the load did not get going")
	}
	sent.told.Store(true)
	p.Terminate()
	p.WaitStopped()
	wg.Wait()

	done, refused := 0, 0
	for path, o := range outcomes {
		e, failed := errors.AsType[*ottavo.Error](o.err)
		switch {
		case o.err == nil:
			done++
		case o.sent:
			t.Errorf("%s was sent before the signal and failed: %v", path, o.err)
		case reached[path]:
			t.Errorf("%s reached the service and failed: %v", path, o.err)
		case !failed || e.Code != codes.Unavailable:
			t.Errorf("%s was refused with %v, want UNAVAILABLE", path, o.err)
		default:
			refused++
		}
	}
	for path := range reached {
		if _, known := outcomes[path]; !known {
			t.Errorf("%s reached the service, and nobody called it", path)
		}
	}
	t.Logf("%d calls done, %d refused", done, refused)
	if refused != concurrency {
		t.Errorf("%d calls were refused, want the last one of each of %d workers", refused, concurrency)
	}
	if log := p.ReadFile("access.log"); strings.Count(log, "\n") != done {
		t.Errorf("the access log has %d lines for %d calls", strings.Count(log, "\n"), done)
	}
}
