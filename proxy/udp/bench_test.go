package udp_test

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// roundTrip is a client's question and its answer.
func roundTrip(b testing.TB, nc net.Conn, buf []byte) {
	if _, err := nc.Write(buf); err != nil {
		b.Fatal(err)
	}
	if _, err := nc.Read(buf); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRoundTrip asks and is answered with 64 bytes. It reports the ratio
// to asking the host directly, measured just before. The allocations are the
// test's host's.
func BenchmarkRoundTrip(b *testing.B) {
	run := func(b *testing.B, nc net.Conn) float64 {
		_ = nc.SetDeadline(time.Time{})
		buf := make([]byte, 64)
		roundTrip(b, nc, buf)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			roundTrip(b, nc, buf)
		}
		b.StopTimer()
		return float64(b.Elapsed()) / float64(b.N)
	}
	var direct float64
	b.Run("direct", func(b *testing.B) { direct = run(b, dialUDP(b, quietHost(b))) })
	for name, address := range map[string]string{"proxy": "127.0.0.1:0", "proxy on all addresses": "0.0.0.0:0"} {
		b.Run(name, func(b *testing.B) {
			s := start(b, address, toCluster, dialOf(quietHost(b)))
			_, port, _ := net.SplitHostPort(s.addr)
			b.ReportMetric(run(b, dialUDP(b, net.JoinHostPort("127.0.0.1", port)))/direct, "x-direct")
		})
	}
}

// quietHost is an echo that allocates nothing.
func quietHost(b testing.TB) string {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	b.Cleanup(func() {
		_ = pc.Close()
		<-done
	})
	return pc.LocalAddr().String()
}

// TestNoAllocations: a datagram and its answer cost no allocation.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has pools forget on purpose")
	}
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		s := start(t, address, toCluster, dialOf(quietHost(t)))
		_, port, _ := net.SplitHostPort(s.addr)
		nc := dialUDP(t, net.JoinHostPort("127.0.0.1", port))
		buf := make([]byte, 64)
		roundTrip(t, nc, buf)
		if n := testing.AllocsPerRun(1000, func() { roundTrip(t, nc, buf) }); n >= 1 {
			t.Errorf("%s: %v allocations", address, n)
		}
	}
}

// TestIdleMemory: what a quiet session costs.
func TestIdleMemory(t *testing.T) {
	const clients = 500
	s := start(t, "127.0.0.1:0", toCluster, dialOf(quietHost(t)))
	before, running := inUse(), runtime.NumGoroutine()
	conns := make([]net.Conn, 0, clients)
	var own int64 // of the test's clients
	for range clients {
		nc, err := net.Dial("udp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		conns = append(conns, nc)
	}
	own = inUse() - before
	for _, nc := range conns {
		roundTrip(t, nc, make([]byte, 64))
	}
	each := (inUse() - before - own) / clients
	t.Logf("a quiet session costs %d bytes and %d goroutine", each, (runtime.NumGoroutine()-running)/clients)
	for _, nc := range conns {
		_ = nc.Close()
	}
	const budget = 8 << 10
	if each > budget && !raceEnabled {
		t.Errorf("a quiet session costs %d bytes, more than %d", each, budget)
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
