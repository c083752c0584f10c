package tcp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// certificate makes a certificate for tests.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// noise sends size bytes in pieces of many sizes, with pauses, and returns
// their checksum.
func noise(t testing.TB, w io.Writer, seed uint64, size int) [32]byte {
	source := mathrand.NewChaCha8([32]byte{byte(seed)})
	sizes := mathrand.New(mathrand.NewPCG(seed, 1))
	sum := sha256.New()
	b := make([]byte, 300<<10)
	for size > 0 {
		most := len(b) // pieces of all magnitudes
		if sizes.IntN(2) == 0 {
			most = 3000
		}
		piece := b[:min(size, 1+sizes.IntN(most))]
		_, _ = source.Read(piece)
		_, _ = sum.Write(piece)
		if _, err := w.Write(piece); err != nil {
			t.Error(err)
			break
		}
		size -= len(piece)
		if sizes.IntN(20) == 0 {
			runtime.Gosched()
		}
	}
	return [32]byte(sum.Sum(nil))
}

func checksum(t testing.TB, r io.Reader) [32]byte {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		t.Error(err)
	}
	return [32]byte(sum.Sum(nil))
}

// TestIntegrity: every byte arrives, in order, in both directions at once.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	serverTLS := certificate(t)
	asTLSServer := func(ctx context.Context, c *conn.Conn, next listener.Handler) error {
		c.Conn = tls.Server(c.Conn, serverTLS)
		return next.ServeConn(ctx, c)
	}
	asTLSClient := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	type variant struct {
		client, host string
		tls          bool
	}
	variants := []variant{{"tcp", "tcp", true}}
	for _, n := range networks {
		variants = append(variants, variant{n.client, n.host, false})
	}
	for _, v := range variants {
		t.Run(fmt.Sprintf("%s to %s, TLS %v", v.client, v.host, v.tls), func(t *testing.T) {
			t.Parallel()
			type sums struct{ sent, got [32]byte }
			hosts := make(chan sums, 1)
			at := host(t, v.host, func(nc net.Conn) {
				if v.tls {
					nc = tls.Server(nc, serverTLS)
				}
				hosts <- bothWays(t, nc, 1, size)
			})
			dial := dialOf(v.host, at)
			var between handlerFunc
			if v.tls {
				between = asTLSServer
			}
			s := start(t, v.client, toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
				up, err := dial(ctx, a)
				if v.tls && err == nil {
					up.Conn = tls.Client(up.Conn, asTLSClient)
				}
				return up, err
			}, between)
			nc := s.dial()
			if v.tls {
				nc = tls.Client(nc, asTLSClient)
			}
			client, host := bothWays(t, nc, 2, size), <-hosts
			if client.sent != host.got || host.sent != client.got {
				t.Error("other bytes arrived than were sent")
			}
			if r := s.records.next(t); r.Sent != size || r.Received != size || r.Err != nil {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func bothWays(t testing.TB, nc net.Conn, seed uint64, size int) (s struct{ sent, got [32]byte }) {
	var both sync.WaitGroup
	both.Go(func() {
		s.sent = noise(t, nc, seed, size)
		closeWrite(t, nc)
	})
	s.got = checksum(t, nc)
	both.Wait()
	return s
}

// rss returns the process's resident memory in bytes. The race detector has a
// large share of its own in it, so with that it is the heap and the stacks.
func rss(t testing.TB) int64 {
	t.Helper()
	if raceEnabled {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip("the memory of a process can be read on Linux only")
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// highest watches a figure until its stop is called, which returns the highest.
func highest(figure func() int64) (stop func() int64) {
	done, top := make(chan struct{}), figure()
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				top = max(top, figure())
			case <-done:
				return
			}
		}
	})
	return func() int64 {
		close(done)
		watching.Wait()
		return top
	}
}

// allowed is how much the memory may grow while bytes pass.
const allowed = 32 << 20

// TestLargeTransfer passes a gigabyte each way at the same time.
func TestLargeTransfer(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 256 << 20
	}
	at := host(t, "tcp", func(nc net.Conn) { pump(t, nc, size) })
	s := start(t, "tcp", toCluster, dialOf("tcp", at), nil)
	debug.FreeOSMemory()
	before, began := rss(t), time.Now()
	stop := highest(func() int64 { return rss(t) })
	pump(t, s.dial(), size)
	r := s.records.next(t)
	grown := stop() - before
	t.Logf("%d MB each way in %v, memory grew by %d KB", size>>20, time.Since(began), grown>>10)
	if r.Sent != size || r.Received != size || r.Err != nil {
		t.Errorf("record %+v", r)
	}
	if grown > allowed {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
}

// pump sends size bytes, and reads to the end at the same time.
func pump(t testing.TB, nc net.Conn, size int64) {
	var both sync.WaitGroup
	both.Go(func() {
		b := make([]byte, 128<<10)
		for left := size; left > 0; left -= int64(len(b)) {
			if _, err := nc.Write(b); err != nil {
				t.Error(err)
				return
			}
		}
		closeWrite(t, nc)
	})
	b := make([]byte, 128<<10)
	for {
		if _, err := nc.Read(b); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
	both.Wait()
}

// TestStalledSocket: a host that does not read stalls the client, and what the
// kernel holds is all that there is.
func TestStalledSocket(t *testing.T) {
	goOn := make(chan struct{})
	got := make(chan int64, 1)
	at := host(t, "tcp", func(nc net.Conn) {
		<-goOn
		n, err := io.Copy(io.Discard, nc)
		if err != nil {
			t.Error(err)
		}
		got <- n
	})
	s := start(t, "tcp", toCluster, dialOf("tcp", at), nil)
	nc := s.dial()
	before := rss(t)
	var sent atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		b := make([]byte, 64<<10)
		for range 4096 { // 256 MB
			n, err := nc.Write(b)
			sent.Add(int64(n))
			if err != nil {
				t.Error(err)
				return
			}
		}
		closeWrite(t, nc)
	}()
	// Wait until nothing has moved for a while.
	last, quiet := int64(-1), 0
	for tick := time.Tick(50 * time.Millisecond); quiet < 6; <-tick {
		if now := sent.Load(); now != last {
			last, quiet = now, 0
			continue
		}
		quiet++
	}
	if last == 256<<20 {
		t.Error("the client was not stalled")
	}
	if grown := rss(t) - before; grown > allowed {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	close(goOn)
	<-finished
	if n := <-got; n != sent.Load() {
		t.Errorf("the host got %d of %d bytes", n, sent.Load())
	}
}

// openPipes counts the kernel's pipes that this process has open.
func openPipes(t testing.TB) int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(names) == 0 {
		t.Skip("open files can be counted on Linux only")
	}
	n := 0
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n / 2
}

// TestSplice: a large transfer goes through the kernel's pipes, and
// connections that were busy and are quiet now hold none.
func TestSplice(t *testing.T) {
	copying := func(nc net.Conn) { // io.Copy between sockets would take pipes, too
		_, _ = io.Copy(struct{ io.Writer }{nc}, struct{ io.Reader }{nc})
	}
	s := start(t, "tcp", toCluster, dialOf("tcp", host(t, "tcp", copying)), nil)
	// Those that earlier tests left in the pools go.
	before := openPipes(t)
	for tick, quiet := time.Tick(20*time.Millisecond), 0; quiet < 5; <-tick {
		runtime.GC()
		if now := openPipes(t); now != before {
			before, quiet = now, 0
			continue
		}
		quiet++
	}
	chunk := bytes.Repeat([]byte("x"), 4<<20)
	const connections = 30
	most := 0
	for range connections {
		nc := s.dial()
		go func() { _, _ = nc.Write(chunk) }()
		if _, err := io.ReadFull(nc, make([]byte, len(chunk))); err != nil {
			t.Fatal(err)
		}
		most = max(most, openPipes(t)-before)
	}
	if most == 0 {
		t.Error("nothing was spliced")
	}
	// What is not in use is kept for the next transfer until the collector comes.
	left := openPipes(t) - before
	for end := time.Now().Add(patience); left > 0 && time.Now().Before(end); left = openPipes(t) - before {
		runtime.GC()
		runtime.Gosched()
	}
	if left > 0 {
		t.Errorf("%d pipes are open for %d idle connections", left, connections)
	}
	t.Logf("at most %d pipes", most)
}
