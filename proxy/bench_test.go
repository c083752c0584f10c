package proxy_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// fixedHost answers each request of a fixed size with fixed bytes, without an
// allocation.
func fixedHost(size int, answer []byte) func(net.Conn) {
	return func(c net.Conn) {
		defer func() { _ = c.Close() }()
		for buf := make([]byte, size); ; {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}

// BenchmarkProxy is the whole way of a request through the core, from a pipe to
// a pipe: what is allocated is allocated by the core.
func BenchmarkProxy(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	head := []byte("POST /pay HTTP/1.1\r\nHost: pay\r\nContent-Length: 1024\r\n\r\n")
	ask := append(head, body...)
	answer := append([]byte("HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 08:00:00 GMT\r\nContent-Length: 1024\r\n\r\n"), body...)
	for _, logged := range []bool{false, true} {
		name := "without a log"
		if logged {
			name = "with an access log"
		}
		b.Run(name, func(b *testing.B) {
			n := &Network{}
			n.Host("h:1", fixedHost(len(ask), answer))
			l := Listener("egress", "main")
			if logged {
				l.AccessLogs = []config.AccessLog{{Path: filepath.Join(b.TempDir(), "access.log")}}
			}
			s := Start(b, n, &config.Snapshot{
				Listeners: []config.Listener{l},
				Routers:   []config.Router{Router("main", To("/", "c"))},
				Clusters:  []config.Cluster{Cluster("c", "h:1")},
			}, With(func(o *proxy.Options) {
				o.Log = slog.New(slog.DiscardHandler)
				o.Sinks = []telemetry.Sink{telemetry.SinkFunc(func(*telemetry.Record) {})}
			}))
			c := s.Dial(b, "egress")
			got := make([]byte, len(answer))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(ask); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, got); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.HasSuffix(got, body) {
				b.Errorf("answered %.200q", got)
			}
		})
	}
}

// BenchmarkChannel is a request into the core and out again: what an
// InvokeService costs below the API.
func BenchmarkChannel(b *testing.B) {
	ask := []byte("GET /pay HTTP/1.1\r\nHost: pay\r\n\r\n")
	n := &Network{}
	n.Host("h:1", fixedHost(len(ask), []byte("HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 08:00:00 GMT\r\nContent-Length: 2\r\n\r\nok")))
	s := Start(b, n, &config.Snapshot{
		Listeners: []config.Listener{Listener("egress", "main")},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", "h:1")},
	}, With(func(o *proxy.Options) { o.Log, o.Sinks = slog.New(slog.DiscardHandler), nil }))
	ch, err := s.Channel(proxy.ChannelOptions{Listener: "egress", Protocol: "Http1"})
	must(b, err)
	defer ch.Close()
	buf := make([]byte, 64)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := ch.Handle(ctx, &stream.Request{Method: "GET", Path: "/pay", Authority: "pay"})
		if err != nil {
			b.Fatal(err)
		}
		if k, _ := resp.Body.Read(buf); string(buf[:k]) != "ok" {
			b.Fatalf("%q", buf[:k])
		}
		_ = resp.Close()
	}
}
