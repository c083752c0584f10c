package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// mayGrow is by how much the memory of the process, callers and hosts
// included, may grow while a body of any size passes.
const mayGrow = 32 << 20

// bulk is how much passes in each direction, and how it is called.
func bulk() (size int64, name string) {
	switch {
	case raceEnabled: // a tenth of the speed, or less
		return 64 << 20, "64MB"
	case testing.Short():
		return 256 << 20, "256MB"
	}
	return 1 << 30, "1GB"
}

// inUse returns the bytes of heap and stacks that the process holds.
func inUse() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		sum += s.Value.Uint64()
	}
	return int64(sum)
}

// growth runs f and returns by how much the memory in use grew meanwhile, at most.
func growth(f func()) int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone, too
	before, most := inUse(), int64(0)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, inUse()-before)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	f()
	close(stop)
	watching.Wait()
	return most
}

// moves measures f, which moves size bytes in each direction.
func moves(t *testing.T, size int64, f func()) {
	t.Helper()
	begin := time.Now()
	grown := growth(f)
	d := time.Since(begin)
	t.Logf("%d MB each way in %.1f s, %.0f MB/s, memory grew by %.1f MB", size>>20, d.Seconds(), float64(2*size)/1e6/d.Seconds(), float64(grown)/(1<<20))
	if grown > mayGrow {
		t.Errorf("memory grew by %d MB, more than %d", grown>>20, mayGrow>>20)
	}
}

// accept has serve called for each connection to a port of this machine, which
// is returned, until the end of the test.
func accept(t *testing.T, serve func(ctx context.Context, nc net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = nc.Close() }()
				serve(ctx, nc)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// bound opens a socket for the only listener of a configuration.
func bound(snapshot *config.Snapshot) *config.Snapshot {
	snapshot.Listeners[0].BindPort, snapshot.Listeners[0].Address = true, "127.0.0.1:0"
	return snapshot
}

// messages is a body that comes in small pieces, as a stream of messages does.
type messages struct{ *Pattern }

func (m messages) Read(p []byte) (int, error) { return m.Pattern.Read(p[:min(len(p), 4096)]) }

// A body of any size passes in constant memory, over real sockets: a request
// body, then the answer's; with gRPC both at once, in small messages.
func TestBulk(t *testing.T) {
	size, name := bulk()
	for _, p := range Protocols() {
		t.Run(p.Label+"/"+name, func(t *testing.T) {
			srv, err := p.NewServer(protocol.ServerOptions{Listener: "host"})
			must(t, err)
			host := accept(t, func(ctx context.Context, nc net.Conn) {
				c := conn.New(nc)
				defer c.Free()
				_ = srv.ServeConn(ctx, c, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					if p.Label == "gRPC" {
						return p.Answer(200, req.Body, -1), nil // as it comes
					}
					n, err := CheckPattern(req.Body, 0)
					if n != size || err != nil {
						return nil, fmt.Errorf("the host got %d bytes: %w", n, err)
					}
					return p.Answer(200, NewPattern(size), -1), nil
				}))
			})
			s := Start(t, nil, bound(p.Snapshot(host, 10*time.Minute)))
			nc, err := net.Dial("tcp", s.Addr(t, "in"))
			must(t, err)
			c := p.NewClient(conn.New(nc), protocol.ClientOptions{})
			defer func() { _ = c.Close() }()
			moves(t, size, func() {
				var body io.Reader = NewPattern(size)
				if p.Label == "gRPC" {
					body = messages{NewPattern(size)}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				resp, err := c.Handle(ctx, p.Request("/", body, -1))
				must(t, err)
				if n, err := CheckPattern(resp.Body, 0); n != size || err != nil || p.Says(resp) != "200" {
					t.Errorf("%s, %d bytes, %v", p.Says(resp), n, err)
				}
				must(t, resp.Close())
			})
			if rec := s.Records.Last(t, 1); rec.BytesIn != size || rec.BytesOut != size || rec.Err != nil {
				t.Errorf("record %+v", rec)
			}
		})
	}
	t.Run("tcp_proxy/"+name, func(t *testing.T) {
		host := accept(t, func(_ context.Context, nc net.Conn) { bothWays(t, nc, size) })
		s := Start(t, nil, bound(tcpSnapshot(host)))
		nc, err := net.Dial("tcp", s.Addr(t, "in"))
		must(t, err)
		defer func() { _ = nc.Close() }()
		must(t, nc.SetDeadline(time.Now().Add(5*time.Minute)))
		moves(t, size, func() { bothWays(t, nc, size) })
	})
}

// bothWays sends and receives size bytes at once.
func bothWays(t *testing.T, nc net.Conn, size int64) {
	var sending sync.WaitGroup
	sending.Go(func() {
		if n, err := io.Copy(nc, onlyReader{NewPattern(size)}); n != size || err != nil {
			t.Errorf("sent %d bytes, %v", n, err)
		}
		_ = nc.(interface{ CloseWrite() error }).CloseWrite()
	})
	if n, err := CheckPattern(nc, 0); n != size || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	sending.Wait()
}

type onlyReader struct{ io.Reader }

// tcpSnapshot passes connections on to a host, byte by byte.
func tcpSnapshot(host string) *config.Snapshot {
	in := Listener("in", "")
	in.FilterChains[0].Filters[0] = config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "c"}}
	return &config.Snapshot{Listeners: []config.Listener{in}, Clusters: []config.Cluster{Cluster("c", host)}}
}

// stall waits half a minute with a writer that nobody reads from, and checks
// that it stalls too, and nothing grows.
func stall(t *testing.T, from *Pattern) {
	t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	given, held := from.Given(), heap()
	if given > inBetween {
		t.Errorf("the writer was %d bytes ahead of the reader", given)
	}
	time.Sleep(29 * time.Second)
	synctest.Wait()
	if more := from.Given() - given; more != 0 {
		t.Errorf("the writer went on by %d bytes", more)
	}
	if more := heap() - held; more > 256<<10 {
		t.Errorf("memory grew by %d bytes", more)
	}
}

// heap returns the bytes of live objects and stacks.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// stalled is how much passes around a reader that stalls.
const stalled = 8 << 20

// A reader who stalls for half a minute stalls the writer, whichever way the
// bytes go, and nothing is lost.
func TestStalledReader(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		if !p.Streams {
			t.Skip("bodies do not stream")
		}
		up, down := NewPattern(stalled), NewPattern(stalled)
		r := p.Start(t, time.Hour, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if _, err := io.ReadFull(req.Body, make([]byte, 1)); err != nil {
				return nil, err
			}
			stall(t, up)
			if n, err := CheckPattern(req.Body, 1); n != stalled-1 || err != nil {
				return nil, fmt.Errorf("the host got %d bytes: %w", n, err)
			}
			return p.Answer(200, down, -1), nil
		}))
		begin := time.Now()
		resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", up, -1))
		must(t, err)
		if says := p.Says(resp); says != "200" {
			t.Fatal(says, whole(t, resp))
		}
		take(t, resp.Body, 1)
		stall(t, down)
		if n, err := CheckPattern(resp.Body, 1); n != stalled-1 || err != nil {
			t.Errorf("the caller got %d bytes, %v", n, err)
		}
		must(t, resp.Close())
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("took %v", d)
		}
		if rec := r.Record(t, 1, 200); rec.BytesIn != stalled || rec.BytesOut != stalled {
			t.Errorf("record %+v", rec)
		}
	})
	t.Run("tcp_proxy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &Network{}
			up := NewPattern(stalled)
			done := make(chan struct{})
			n.Host("host:1", func(c net.Conn) {
				defer close(done)
				defer func() { _ = c.Close() }()
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Error(err)
				}
				stall(t, up)
				if n, err := CheckPattern(c, 1); n != stalled-1 || err != nil {
					t.Errorf("the host got %d bytes, %v", n, err)
				}
			})
			begin := time.Now()
			c := Start(t, n, tcpSnapshot("host:1")).Dial(t, "in")
			if n, err := io.Copy(c, onlyReader{up}); n != stalled || err != nil {
				t.Errorf("sent %d bytes, %v", n, err)
			}
			must(t, c.Close())
			<-done
			if d := time.Since(begin); d != 30*time.Second {
				t.Errorf("took %v", d)
			}
		})
	})
}
