package http2

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// An idle connection holds no buffer and no worker: at each end one goroutine,
// with 4 KB of stack, and 4 KB of heap, after it has served a request.
func TestIdleConnectionMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would be counted")
	}
	synctest.Test(t, func(t *testing.T) {
		const count = 500
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		srv, err := Protocol{}.NewServer(protocol.ServerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		in := func() int64 {
			time.Sleep(time.Minute)
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := in()
		goroutines := runtime.NumGoroutine()
		var all []*client
		var wg sync.WaitGroup
		for range count {
			a, b := conn.Pipe()
			wg.Go(func() { _ = srv.ServeConn(ctx, conn.New(b), handlerFunc(echo)) })
			all = append(all, dial(t, a))
		}
		for _, cl := range all {
			if status, _, _ := fetch(t, cl, get("/")); status != 200 {
				t.Fatal(status)
			}
		}
		each := (in() - before) / count
		// The connection in between is a pipe, whose ends and timers count too.
		const pipe = 2 << 10
		if t.Logf("%d bytes for the two ends of an idle connection and the pipe", each); each > 2*(4<<10)+pipe {
			t.Errorf("the two ends of an idle connection take %d bytes", each)
		}
		if n := runtime.NumGoroutine() - goroutines; n > 2*count {
			t.Errorf("%d goroutines for the two ends of %d idle connections", n, count)
		}
		for _, cl := range all {
			_ = cl.Close()
		}
		cancel()
		wg.Wait()
	})
}

// counting counts writes.
type counting struct {
	net.Conn
	writes atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Under load, fewer writes leave than messages, at either end.
func TestWritesAreCoalesced(t *testing.T) {
	a, b := tcpPair(t)
	up, down := &counting{Conn: a}, &counting{Conn: b}
	serve(t, down, protocol.ServerOptions{}, handlerFunc(fixed(100)))
	cl := dial(t, up)
	const callers, each = 50, 100
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				resp, err := cl.Handle(context.Background(), get("/"))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Close()
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests: %d writes up, %d down", callers*each, up.writes.Load(), down.writes.Load())
	if up.writes.Load() > callers*each/2 || down.writes.Load() > callers*each/2 {
		t.Error(fmt.Sprint("writes are not coalesced: ", up.writes.Load(), " up, ", down.writes.Load(), " down"))
	}
}

// A proxied request costs at most 15 allocations, one hop of it half of that.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	behind, _ := over(t, true, fixed(1024))
	front, _ := over(t, true, behind.Handle)
	buf := make([]byte, 4096)
	req := get("/some/path")
	n := testing.AllocsPerRun(2000, func() {
		resp, err := front.Handle(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		_ = resp.Close()
	})
	// The proxy is the server in front and the client behind; this counts a
	// client and a server more.
	if n > 15 {
		t.Errorf("%.1f allocations", n)
	}
}
