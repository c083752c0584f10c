package bolt_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// kilobyte is a request with two headers and 1 KiB of content.
func kilobyte(b testing.TB, codec bolt.Codec) []byte {
	h := new(stream.Header)
	h.Add(bolt.ClassField, "com.alipay.sofa.rpc.core.request.SofaRequest")
	h.Add("service", "com.demo.Echo:1.0")
	h.Add("sofa_head_method_name", "echo")
	f, err := codec.Append(nil, &frame.Message{Type: frame.Request, ID: 1, Timeout: 3 * time.Second, Header: h, Body: make([]byte, 1024)})
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// What a frame that is forwarded costs: it is read, and written with another id.
func BenchmarkCodec(b *testing.B) {
	for name, f := range map[string][]byte{"v1": kilobyte(b, bolt.V1()), "v2": kilobyte(b, bolt.V2()), "v2 with checksum": vectors(b)["bolt2.req.crc"]} {
		b.Run(name, func(b *testing.B) {
			codec := bolt.V1()
			var out []byte
			var m frame.Message
			b.ReportAllocs()
			for b.Loop() {
				n, err := codec.Size(f)
				if err != nil {
					b.Fatal(err)
				}
				m.Frame = f[:n]
				if err := codec.Decode(&m); err != nil {
					b.Fatal(err)
				}
				out = append(out[:0], m.Frame...)
				codec.SetID(out, m.ID+1)
			}
		})
	}
}

// What a frame costs whose header has changed.
func BenchmarkRebuild(b *testing.B) {
	codec := bolt.V1()
	m := read(b, kilobyte(b, codec))
	built := frame.Message{Type: frame.Request, ID: 2, Method: m.Method, Header: m.Header, Body: m.Payload(), Origin: m, Timeout: m.Timeout}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = codec.Append(out[:0], &built); err != nil {
			b.Fatal(err)
		}
	}
}

// serve has h answer one connection.
func serve(b testing.TB, h stream.Handler, nc net.Conn, wg *sync.WaitGroup) {
	srv, err := bolt.New(bolt.V1(), frame.Options{}).NewServer(protocol.ServerOptions{})
	if err != nil {
		b.Fatal(err)
	}
	wg.Go(func() {
		c := conn.New(nc)
		_ = srv.ServeConn(b.Context(), c, h)
		_ = c.Close()
		c.Free()
	})
}

// counting counts writes.
type counting struct {
	net.Conn
	writes *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// tcp returns both ends of a connection.
func tcp(b testing.TB) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return near, far
}

// proxied runs b.N requests through a server whose handler is a pool, over
// loopback, inFlight at a time. The host answers frames in the simplest way.
func proxied(b *testing.B, inFlight int, direct bool) {
	var wg sync.WaitGroup
	var writes atomic.Int64
	f := kilobyte(b, bolt.V1())
	resp, err := bolt.V1().Append(nil, &frame.Message{Type: frame.Response, Header: new(stream.Header), Body: make([]byte, 1024)})
	if err != nil {
		b.Fatal(err)
	}
	host := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		in, out := make([]byte, 0, 256<<10), []byte(nil)
		for {
			n, err := c.Read(in[len(in):cap(in)])
			if err != nil {
				return
			}
			in, out = in[:len(in)+n], out[:0]
			at := 0
			for ; len(in)-at >= len(f); at += len(f) {
				start := len(out)
				out = append(out, resp...)
				copy(out[start+5:], in[at+5:at+9])
			}
			in = in[:copy(in, in[at:])]
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
	caller, far := tcp(b)
	if direct {
		defer wg.Wait()
		wg.Go(func() { host(far) })
	} else {
		pool := upstream.New(upstream.PoolOptions{
			Name: "host", Protocol: bolt.New(bolt.V1(), frame.Options{}), ConnectTimeout: time.Second, WriteTimeout: time.Minute,
			Dial: func(context.Context) (net.Conn, error) {
				near, far := tcp(b)
				wg.Go(func() { host(far) })
				return counting{near, &writes}, nil
			},
		})
		defer wg.Wait()
		defer pool.Close()
		serve(b, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			req.Limit(req.Info.Start.Add(req.Timeout))
			return pool.Handle(ctx, req)
		}), counting{far, &writes}, &wg)
	}
	b.ReportAllocs()
	b.ResetTimer()
	// The caller keeps inFlight requests under way.
	burst := make([]byte, 0, inFlight*len(f))
	buf := make([]byte, 256<<10)
	left, under, got := b.N, 0, 0
	for left > 0 || under > 0 {
		burst = burst[:0]
		for ; under < inFlight && left > 0; under, left = under+1, left-1 {
			burst = append(burst, f...)
		}
		if len(burst) > 0 {
			if _, err := caller.Write(burst); err != nil {
				b.Fatal(err)
			}
		}
		n, err := caller.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		got += n
		under -= got / len(resp)
		got %= len(resp)
	}
	b.StopTimer()
	b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
	_ = caller.Close()
}

func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name     string
		inFlight int
		direct   bool
	}{{"direct/1", 1, true}, {"proxy/1", 1, false}, {"direct/100", 100, true}, {"proxy/100", 100, false}} {
		b.Run(c.name, func(b *testing.B) { proxied(b, c.inFlight, c.direct) })
	}
}

// A request that is passed on, and its answer, cost two allocations at most:
// the strings of their headers.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	var wg sync.WaitGroup
	f, all := kilobyte(t, bolt.V1()), vectors(t)
	resp := all["bolt1.resp.ok.tiny-header"]
	pool := upstream.New(upstream.PoolOptions{
		Name: "host", Protocol: bolt.New(bolt.V1(), frame.Options{}), ConnectTimeout: time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			near, far := conn.NewPipe("proxy", "host")
			wg.Go(func() {
				for buf, out := make([]byte, len(f)), append([]byte(nil), resp...); ; {
					if _, err := io.ReadFull(far, buf); err != nil {
						return
					}
					copy(out[5:9], buf[5:9])
					_, _ = far.Write(out)
				}
			})
			return near, nil
		},
	})
	caller, far := conn.NewPipe("caller", "proxy")
	serve(t, pool, far, &wg)
	buf := make([]byte, len(resp))
	if got := testing.AllocsPerRun(2000, func() {
		if _, err := caller.Write(f); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(caller, buf); err != nil {
			t.Error(err)
		}
	}); got > 2 {
		t.Errorf("%v allocations for a request", got)
	}
	_ = caller.Close()
	pool.Close()
	wg.Wait()
}
