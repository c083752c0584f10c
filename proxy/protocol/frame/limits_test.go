package frame_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// What a connection may have under way is limited; the next waits unread.
func TestBackPressure(t *testing.T) {
	for name, extend := range map[string]map[string]any{
		"requests": {"max_concurrent_requests": 2},
		"bytes":    {"max_held_bytes": 2500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now, most atomic.Int32
				open := make(chan struct{})
				r := serve(t, rigOptions{ServerOptions: protocol.ServerOptions{Extend: extend}}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					most.Store(max(most.Load(), now.Add(1)))
					<-open
					now.Add(-1)
					return text("x"), nil
				})
				payload := strings.Repeat("x", 1000)
				go func() {
					for id := range uint16(200) {
						if _, err := r.near.Write(ask('?', id+1, payload)); err != nil {
							return
						}
					}
				}()
				synctest.Wait()
				if now.Load() != 2 {
					t.Errorf("%d requests at a time, want 2", now.Load())
				}
				if read := r.conn.BytesRead(); read > 40<<10 {
					t.Errorf("%d bytes are read meanwhile", read)
				}
				close(open)
				seen := 0
				for buf := make([]byte, 11); seen < 200; seen++ {
					if _, err := io.ReadFull(r.near, buf); err != nil {
						t.Fatal(err)
					}
				}
				if most.Load() != 2 {
					t.Errorf("%d requests at a time", most.Load())
				}
			})
		})
	}
}

// A caller that does not read its answers does not fill our memory, and is
// given up when the write timeout has passed.
func TestCallerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := strings.Repeat("x", 100<<10)
		var served atomic.Int32
		r := serve(t, rigOptions{writeTimeout: 10 * time.Second}, func(context.Context, *stream.Request) (*stream.Response, error) {
			served.Add(1)
			return text(answer), nil
		})
		for id := range uint16(900) {
			r.send(ask('?', id+1, "x"))
		}
		synctest.Wait()
		if n := served.Load(); n != 900 {
			t.Errorf("%d requests are served", n)
		}
		for range 100_000 { // and heartbeats on top
			if _, err := r.near.Write(ask('p', 1, "")); err != nil {
				break
			}
		}
		if err := <-r.over; err == nil {
			t.Error("no error")
		}
		if wrote := r.conn.BytesWritten(); wrote > 200<<10 {
			t.Errorf("%d bytes were written", wrote)
		}
	})
}

// The buffer of a frame grows with what arrives.
func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := in()
		head := ask('?', 1, "")
		binary.BigEndian.PutUint32(head[6:], 60<<20)
		var all []*rig
		for range 50 {
			r := serve(t, rigOptions{}, echo)
			r.send(head, make([]byte, 20<<10))
			all = append(all, r)
		}
		synctest.Wait()
		if grown := in() - before; grown > 50*(256<<10) {
			t.Errorf("50 claims of 60 MB take %d bytes", grown)
		}
		runtime.KeepAlive(all)
	})
}

// A host that leaves too many requests unanswered gets no more on that
// connection: their ids would run out.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		p := pool(t, frame.Options{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, &dials)
		for range 12_000 {
			req := request(io.NopCloser(strings.NewReader("x")), 1)
			req.Deadline = time.Now().Add(time.Millisecond)
			if _, err := p.Handle(t.Context(), req); err == nil || stream.AsError(err).Kind != stream.Timeout {
				t.Fatal(err)
			}
		}
		if dials.Load() != 2 {
			t.Errorf("%d connections", dials.Load())
		}
	})
}

// An idle connection holds no buffer.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would be counted")
	}
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		in := func() int64 {
			time.Sleep(time.Minute)
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before, goroutines := in(), runtime.NumGoroutine()
		var all []*rig
		for range count {
			r := serve(t, rigOptions{}, echo)
			r.send(ask('?', 1, "x"))
			r.expect(ask('=', 1, "x"))
			all = append(all, r)
		}
		each := (in() - before) / count
		if t.Logf("%d bytes for an idle connection and its pipe", each); each > (4<<10)+(2<<10) { // a pipe and its timers are 2 KB
			t.Errorf("an idle connection takes %d bytes", each)
		}
		if n := runtime.NumGoroutine() - goroutines; n > count {
			t.Errorf("%d goroutines for %d connections", n, count)
		}
		runtime.KeepAlive(all)
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

// Messages that are ready at the same time are written at once, in both directions.
func TestFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 100
		srv, err := frame.New(toy{}, frame.Options{}).NewServer(protocol.ServerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		near, far := conn.NewPipe("client", "server")
		up, down := &counting{Conn: near}, &counting{Conn: far}
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = srv.ServeConn(t.Context(), conn.New(down), stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				time.Sleep(time.Second)
				return echo(ctx, req)
			}))
		})
		cl := frame.New(toy{}, frame.Options{}).NewClient(conn.New(up), protocol.ClientOptions{})
		var asks sync.WaitGroup
		for range calls {
			asks.Go(func() {
				resp, err := cl.Handle(t.Context(), request(io.NopCloser(strings.NewReader("x")), 1))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Close()
			})
		}
		asks.Wait()
		if n, m := up.writes.Load(), down.writes.Load(); n > calls/2 || m > calls/2 {
			t.Errorf("%d calls take %d and %d writes", calls, n, m)
		}
		_ = cl.Close()
		wg.Wait()
	})
}

// A host that may take long to answer heartbeats, and does not, is asked as often
// as any other.
func TestHeartbeatsOfLongTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := conn.NewPipe("client", "host")
		opts := frame.Options{HeartbeatInterval: time.Second, HeartbeatTimeout: time.Minute, HeartbeatFailures: 2}
		cl := frame.New(toy{}, opts).NewClient(conn.New(near), protocol.ClientOptions{})
		defer func() { _, _ = cl.Close(), far.Close() }()
		beat := make([]byte, toyHead)
		for range 60 {
			if _, err := io.ReadFull(far, beat); err != nil || beat[1] != 'p' {
				t.Fatalf("%q, %v", beat, err)
			}
			time.Sleep(time.Millisecond)
			beat[1] = 'q'
			if _, err := far.Write(beat); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		if took := time.Since(start); took > 2*time.Minute+time.Second {
			t.Errorf("60 heartbeats took %v", took)
		}
		// From now on it is silent.
		asked := time.Now()
		for n := 0; ; n++ {
			if _, err := io.ReadFull(far, beat); err == nil {
				continue
			}
			if took := time.Since(asked); n != 2 || took < 2*time.Minute || took > 2*time.Minute+3*time.Second {
				t.Errorf("it was given up after %d heartbeats, and %v", n, took)
			}
			return
		}
	})
}
