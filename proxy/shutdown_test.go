package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// Every request that was taken is answered, the last answer on a connection
// says so, and a connection that is not in use ends soon.
func TestShutdownInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "h:1", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "done")
		})
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("a", "main"), Listener("b", "main")},
			Routers:   []config.Router{Router("main", To("/slow", "c"), Answer("/", 200, "ok"))},
			Clusters:  []config.Cluster{Cluster("c", "h:1")},
		})
		idle := s.Dial(t, "a")
		_, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		must(t, err)
		synctest.Wait()
		var wg sync.WaitGroup
		for i := range 20 {
			c := s.Client(t, []string{"a", "b"}[i%2])
			wg.Go(func() {
				resp, body := fetch(t, c, request(t, "GET", "http://pay/slow", ""))
				if body != "done" || !resp.Close {
					t.Errorf("%q, closes %v", body, resp.Close)
				}
			})
		}
		time.Sleep(time.Second)
		begin := time.Now()
		wg.Go(func() {
			b, err := io.ReadAll(idle)
			if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200") || time.Since(begin) != conn.LastCall {
				t.Errorf("the idle connection ended after %v: %q, %v", time.Since(begin), b, err)
			}
		})
		must(t, s.Shutdown(t.Context()))
		if d := time.Since(begin); d != 4*time.Second {
			t.Errorf("took %v", d)
		}
		wg.Wait()
		if got := len(s.Records.All()); got != 21 {
			t.Errorf("%d records of 21 requests", got)
		}
		must(t, s.Shutdown(t.Context()))
		s.Close()
	})
}

func TestShutdownCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "h:1", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("a", "main"), Listener("b", "main")},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{Cluster("c", "h:1")},
		})
		var wg sync.WaitGroup
		for _, name := range []string{"a", "a", "b"} {
			c := s.Client(t, name)
			wg.Go(func() {
				if resp, err := c.Do(request(t, "POST", "http://pay/", "")); err == nil {
					_ = resp.Body.Close()
					t.Errorf("answered %d", resp.StatusCode)
				}
			})
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		err := s.Shutdown(ctx)
		if d := time.Since(begin); d != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), `listener "a": 2 connections were cut off`) || !strings.Contains(err.Error(), `listener "b": 1 connections were cut off`) {
			t.Errorf("after %v: %v", d, err)
		}
		wg.Wait()
		if got := len(s.Records.All()); got != 3 {
			t.Errorf("%d records of 3 requests", got)
		}
	})
}

// Real sockets, several callers, a shutdown in the middle: whoever had sent his
// request is answered; others are refused, not broken.
func TestShutdownUnderLoad(t *testing.T) {
	slow := host(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	address := testserver.Addr(t) // nobody else gets it when the listener has gone
	s := Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("a", "main", address)},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", slow)},
	})
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	enough := make(chan struct{})
	var once sync.Once
	for range 8 {
		c := Client(t, address)
		wg.Go(func() {
			for {
				resp, err := c.Do(request(t, "GET", "http://pay/", ""))
				if err != nil {
					var op *net.OpError
					if !errors.As(err, &op) || op.Op != "dial" {
						t.Errorf("a request was broken: %v", err)
					}
					refused.Add(1)
					return
				}
				b, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(b) != "done" || resp.StatusCode != 200 {
					t.Errorf("%d %q, %v", resp.StatusCode, b, err)
				}
				if answered.Add(1) > 200 {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	<-enough
	must(t, s.Shutdown(t.Context()))
	wg.Wait()
	if refused.Load() != 8 {
		t.Errorf("%d callers were refused, want 8", refused.Load())
	}
	s.Records.Wait(t, int(answered.Load()))
}

func TestRun(t *testing.T) {
	s, err := New(t, nil, answering(Bound("a", "ra", testserver.Addr(t))))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	if got := ask(t, s.Addr(t, "a")); got != "ra" {
		t.Error(got)
	}
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a second Run: %v", err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if got := ask(t, s.Addr(t, "a")); got != "ra" {
		t.Errorf("after Run: %s: it leaves connections alone", got)
	}
	must(t, s.Drain(t.Context(), "a"))
	wantClosed(t, s.Addr(t, "a"))
	s.Close()
	s.Close()
}

// Close ends Run, too.
func TestCloseEndsRun(t *testing.T) {
	s, err := New(t, nil, answering(Bound("a", "ra", "127.0.0.1:0")))
	must(t, err)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(t.Context()) }()
	ask(t, s.Addr(t, "a"))
	s.Close()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
