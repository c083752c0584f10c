package tcp_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/tcp"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// pumpBuffer is what the ends of a benchmark send and read with.
const pumpBuffer = 128 << 10

// connect returns a connection to a host that serves, directly or through a proxy.
func connect(b testing.TB, through bool, network string, serve func(net.Conn)) net.Conn {
	at := host(b, network, serve)
	if through {
		return start(b, network, toCluster, dialOf(network, at), nil).dial()
	}
	nc, err := net.Dial(network, at)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	return nc
}

// BenchmarkThroughput sends 128 KB per round one way. It reports the ratio to a
// direct connection, measured just before.
func BenchmarkThroughput(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		run := func(b *testing.B, through bool) float64 {
			done := make(chan struct{})
			nc := connect(b, through, network, func(nc net.Conn) {
				_ = nc.SetDeadline(time.Time{})
				buf := make([]byte, pumpBuffer)
				for {
					if _, err := nc.Read(buf); err != nil {
						close(done)
						return
					}
				}
			})
			_ = nc.SetDeadline(time.Time{})
			buf := make([]byte, pumpBuffer)
			b.SetBytes(pumpBuffer)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := nc.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			closeWrite(b, nc)
			<-done
			b.StopTimer()
			return float64(b.Elapsed()) / float64(b.N)
		}
		var direct float64
		b.Run(network+"/direct", func(b *testing.B) { direct = run(b, false) })
		b.Run(network+"/proxy", func(b *testing.B) { b.ReportMetric(run(b, true)/direct, "x-direct") })
	}
}

// BenchmarkPingPong sends a small message there and back per round. It reports
// the ratio to a direct connection, measured just before.
func BenchmarkPingPong(b *testing.B) {
	run := func(b *testing.B, through bool) float64 {
		nc := connect(b, through, "tcp", func(nc net.Conn) {
			_ = nc.SetDeadline(time.Time{})
			buf := make([]byte, 1024)
			for {
				if _, err := io.ReadFull(nc, buf); err != nil {
					return
				}
				if _, err := nc.Write(buf); err != nil {
					return
				}
			}
		})
		_ = nc.SetDeadline(time.Time{})
		buf := make([]byte, 1024)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if _, err := nc.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(nc, buf); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		return float64(b.Elapsed()) / float64(b.N)
	}
	var direct float64
	b.Run("direct", func(b *testing.B) { direct = run(b, false) })
	b.Run("proxy", func(b *testing.B) { b.ReportMetric(run(b, true)/direct, "x-direct") })
}

// BenchmarkConnection passes one message on a new connection. What is allocated
// is the Proxy's own share and the pipes of the test.
func BenchmarkConnection(b *testing.B) {
	hosts := make(chan net.Conn, 1)
	p, err := tcp.New(toCluster, tcp.Deps{IdleTimeout: time.Minute, Dial: func(context.Context, l4.Attempt) (l4.Upstream, error) {
		near, far := conn.Pipe()
		hosts <- far
		return l4.Upstream{Conn: near, Host: "pipe"}, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	pipes := testing.AllocsPerRun(100, func() { conn.Pipe() })
	ctx := b.Context()
	b.ReportAllocs()
	buf := make([]byte, 16)
	for b.Loop() {
		client, end := conn.Pipe()
		c := conn.New(end)
		var serving sync.WaitGroup
		serving.Go(func() { _ = p.ServeConn(ctx, c) })
		far := <-hosts
		_, _ = client.Write(buf)
		_, _ = far.Read(buf)
		_ = client.Close()
		_ = far.Close()
		serving.Wait()
		c.Free()
	}
	b.ReportMetric(2*pipes, "allocs-of-pipes")
}

// TestIdleMemory: what an idle connection costs beyond the sockets themselves,
// after it was busy.
func TestIdleMemory(t *testing.T) {
	const connections = 500
	measure := func(through bool) (bytes, goroutines int64) {
		at := host(t, "tcp", echo)
		if through {
			cfg := toCluster
			cfg.IdleTimeout = time.Minute
			at = start(t, "tcp", cfg, dialOf("tcp", at), nil).listener.Addr().String()
		}
		before := inUse()
		running := runtime.NumGoroutine()
		conns := make([]net.Conn, 0, connections)
		for range connections {
			nc, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			send(t, nc, "hello")
			expect(t, nc, "hello")
			conns = append(conns, nc)
		}
		bytes, goroutines = inUse()-before, int64(runtime.NumGoroutine()-running)
		for _, nc := range conns {
			_ = nc.Close()
		}
		return bytes / connections, goroutines / connections
	}
	direct, goroutines := measure(false)
	proxied, more := measure(true)
	more -= goroutines
	t.Logf("an idle connection costs %d bytes and %d goroutines in the proxy (heap and stacks, both sockets included)", proxied-direct, more)
	const budget = 11 << 10 // of which 8 KB are the stacks
	if proxied-direct > budget && !raceEnabled {
		t.Errorf("that is more than %d bytes", budget)
	}
	if more > 2 {
		t.Error("that is more than two goroutines")
	}
}

// inUse is what the heap and the stacks hold after a collection.
func inUse() int64 {
	for range 5 { // each halves a stack that is too large
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
