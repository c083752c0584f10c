package proxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// counted counts the writes to a connection.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// boltHost answers frames of one size with answer, under their ids, all that
// came in a read with one write. It allocates nothing for a call.
func boltHost(size int, answer []byte) func(net.Conn) {
	return func(c net.Conn) {
		defer func() { _ = c.Close() }()
		in, out := make([]byte, 0, 256<<10), make([]byte, 0, 256<<10)
		for {
			n, err := c.Read(in[len(in):cap(in)])
			if err != nil {
				return
			}
			in, out = in[:len(in)+n], out[:0]
			at := 0
			for ; len(in)-at >= size; at += size {
				from := len(out)
				out = append(out, answer...)
				copy(out[from+boltID:], in[at+boltID:at+boltID+4])
			}
			in = in[:copy(in, in[at:])]
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

// BenchmarkBolt is a call of 1 KiB each way over loopback, to a host that
// answers at once, and to it through the core, with its routes and clusters: one
// at a time, and a hundred on one connection. What is allocated is allocated by
// the core; writes/msg are its writes for each message that it passes on.
func BenchmarkBolt(b *testing.B) {
	for _, c := range []struct {
		name     string
		inFlight int
		direct   bool
	}{{"direct/1", 1, true}, {"proxy/1", 1, false}, {"direct/100", 100, true}, {"proxy/100", 100, false}} {
		b.Run(c.name, func(b *testing.B) {
			r := newBoltRig(b, boltHost(len(boltFrame(b, frame.Request)), boltFrame(b, frame.Response)))
			caller := r.direct
			if !c.direct {
				caller = r.through
			}
			b.ReportAllocs()
			b.ResetTimer()
			boltCalls(b, caller, c.inFlight, b.N)
			b.StopTimer()
			if !c.direct {
				b.ReportMetric(float64(r.writes.Load())/float64(2*b.N), "writes/msg")
			}
		})
	}
}

// BenchmarkBoltAdded compares calls to a host that does with a frame what any
// server does, as it is the engine's own, with the same calls through the core: in
// turns, so that a busy moment of the machine hits both. A call through the core is
// a request and an answer more, so the ratio of the calls per second cannot be 1;
// where there are fewer CPUs than busy programs, all of them share it. added-µs is
// what the caller waits longer for a call.
func BenchmarkBoltAdded(b *testing.B) {
	for _, inFlight := range []int{1, 100} {
		b.Run(strconv.Itoa(inFlight), func(b *testing.B) {
			r := newBoltRig(b, boltServer(b))
			const turn = 2000
			var direct, through time.Duration
			b.ResetTimer()
			for left := b.N; left > 0; left -= turn {
				n := min(left, turn)
				direct += boltCalls(b, r.direct, inFlight, n)
				through += boltCalls(b, r.through, inFlight, n)
			}
			b.StopTimer()
			calls := func(d time.Duration) float64 { return float64(b.N) / d.Seconds() }
			b.ReportMetric(calls(direct), "direct-calls/s")
			b.ReportMetric(calls(through), "proxy-calls/s")
			b.ReportMetric(calls(through)/calls(direct), "ratio")
			b.ReportMetric(float64((through-direct).Microseconds())/float64(b.N)*float64(inFlight), "added-µs")
			b.ReportMetric(0, "ns/op") // of both together: nothing
		})
	}
}

// boltRig is a host for Bolt with two connections to it.
type boltRig struct {
	direct, through net.Conn
	writes          *atomic.Int64 // of the core
}

// newBoltRig starts a host and a core in front of it, until the end of the
// benchmark.
func newBoltRig(b *testing.B, host func(net.Conn)) boltRig {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go host(c)
		}
	}()
	r := boltRig{writes: new(atomic.Int64)}
	in := Listener("in", "main")
	in.FilterChains[0].Filters[0].Config["downstream_protocol"] = "bolt"
	s := Start(b, nil, &config.Snapshot{
		Listeners: []config.Listener{in},
		Routers:   []config.Router{Router("main", toService("other", "other"), toService("echo", "c"))},
		Clusters:  []config.Cluster{Cluster("c", l.Addr().String()), Cluster("other", "127.0.0.1:9")},
	}, speaking(b), With(func(o *proxy.Options) {
		o.Log = slog.New(slog.DiscardHandler)
		o.Sinks = []telemetry.Sink{telemetry.SinkFunc(func(*telemetry.Record) {})}
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			return counted{c, r.writes}, err
		}
	}))
	var far net.Conn
	r.through, far = loopback(b)
	must(b, s.Inject("in", counted{far, r.writes}))
	r.direct, err = net.Dial("tcp", l.Addr().String())
	must(b, err)
	b.Cleanup(func() { _, _ = r.direct.Close(), r.through.Close() })
	return r
}

// boltCalls makes n calls over a connection, so many at a time, and returns how
// long they took. It writes all requests that there are answers to with one write.
func boltCalls(b *testing.B, caller net.Conn, inFlight, n int) time.Duration {
	ask, answer := boltFrame(b, frame.Request), boltFrame(b, frame.Response)
	burst, buf := make([]byte, 0, inFlight*len(ask)), make([]byte, 256<<10)
	start := time.Now()
	for left, under, got, id := n, 0, 0, uint32(0); left > 0 || under > 0; {
		burst = burst[:0]
		for ; under < inFlight && left > 0; under, left = under+1, left-1 {
			id++
			burst = append(burst, ask...)
			binary.BigEndian.PutUint32(burst[len(burst)-len(ask)+boltID:], id)
		}
		if len(burst) > 0 {
			_, err := caller.Write(burst)
			must(b, err)
		}
		n, err := caller.Read(buf)
		must(b, err)
		if got == 0 && (buf[0] != answer[0] || buf[1] != answer[1] || binary.BigEndian.Uint16(buf[10:]) != bolt.Success) {
			b.Fatalf("answered %x", buf[:n])
		}
		got += n
		under -= got / len(answer)
		got %= len(answer)
		if under < 0 {
			b.Fatal("more answers than requests")
		}
	}
	return time.Since(start)
}

// boltServer answers requests with the engine's server.
func boltServer(b *testing.B) func(net.Conn) {
	srv, err := bolt.New(bolt.V1(), frame.Options{}).NewServer(protocol.ServerOptions{Listener: "host"})
	must(b, err)
	answer := bytes.Repeat([]byte("x"), 1024)
	h := stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		return &stream.Response{Status: 200, Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer))}, nil
	})
	return func(nc net.Conn) {
		defer func() { _ = nc.Close() }()
		c := conn.New(nc)
		defer c.Free()
		_ = srv.ServeConn(context.WithoutCancel(b.Context()), c, h)
	}
}

// loopback returns both ends of a connection.
func loopback(b *testing.B) (near, far net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer func() { _ = l.Close() }()
	near, err = net.Dial("tcp", l.Addr().String())
	must(b, err)
	far, err = l.Accept()
	must(b, err)
	return near, far
}

// boltID is where the id is in frames of version 1.
const boltID = 5

// boltFrame returns a request or an answer, with 1 KiB.
func boltFrame(b *testing.B, what frame.Type) []byte {
	m := frame.Message{Type: what, ID: 1, Header: new(stream.Header), Body: bytes.Repeat([]byte("x"), 1024)}
	if what == frame.Request {
		m.Timeout = 3 * time.Second
		m.Header.Add("service", "echo")
		m.Header.Add("sofa_head_method_name", "echo")
	}
	f, err := bolt.V1().Append(nil, &m)
	must(b, err)
	return f
}
