package proxy_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
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
	const id = 5 // where it is in frames of version 1
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
				copy(out[from+id:], in[at+id:at+id+4])
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
		b.Run(c.name, func(b *testing.B) { boltCalls(b, c.inFlight, c.direct) })
	}
}

func boltCalls(b *testing.B, inFlight int, direct bool) {
	ask, answer := boltFrames(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer func() { _ = l.Close() }()
	host := boltHost(len(ask), answer)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go host(c)
		}
	}()
	var writes atomic.Int64
	caller, err := net.Dial("tcp", l.Addr().String())
	if !direct {
		_ = caller.Close()
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
				return counted{c, &writes}, err
			}
		}))
		var far net.Conn
		caller, far = loopback(b)
		must(b, s.Inject("in", counted{far, &writes}))
	}
	must(b, err)
	defer func() { _ = caller.Close() }()
	b.ReportAllocs()
	b.ResetTimer()
	burst, buf := make([]byte, 0, inFlight*len(ask)), make([]byte, 256<<10)
	left, under, got := b.N, 0, 0
	for left > 0 || under > 0 {
		burst = burst[:0]
		for ; under < inFlight && left > 0; under, left = under+1, left-1 {
			burst = append(burst, ask...)
		}
		if len(burst) > 0 {
			_, err := caller.Write(burst)
			must(b, err)
		}
		n, err := caller.Read(buf)
		must(b, err)
		if got == 0 && binary.BigEndian.Uint16(buf[10:]) != bolt.Success {
			b.Fatalf("answered %x", buf[:n])
		}
		got += n
		under -= got / len(answer)
		got %= len(answer)
	}
	b.StopTimer()
	if !direct {
		b.ReportMetric(float64(writes.Load())/float64(2*b.N), "writes/msg")
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

// boltFrames returns a request and its answer, with 1 KiB each.
func boltFrames(b *testing.B) (ask, answer []byte) {
	h := new(stream.Header)
	h.Add("service", "echo")
	h.Add("sofa_head_method_name", "echo")
	ask, err := bolt.V1().Append(nil, &frame.Message{Type: frame.Request, ID: 1, Timeout: 3 * time.Second, Header: h, Body: make([]byte, 1024)})
	must(b, err)
	answer, err = bolt.V1().Append(nil, &frame.Message{Type: frame.Response, ID: 1, Header: new(stream.Header), Body: make([]byte, 1024)})
	must(b, err)
	return ask, answer
}
