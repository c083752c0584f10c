//go:build linux

package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

// The most bytes of heap and stack that a connection may cost while nothing
// happens on it: the budget, and what TLS may add.
const (
	maxIdleCost = 8 << 10
	maxIdleTLS  = 16 << 10
)

// idleCallers tells the test binary to be the callers and the host of
// TestIdleConnections: its value is the label of the protocol, whether it is
// spoken over TLS, and a number.
const idleCallers = "OTTAVO_TEST_IDLE_CALLERS"

// A connection on which nothing happens costs little memory, one goroutine, and
// no CPU. The callers are in another process, so that this one's figures are
// those of the core.
func TestIdleConnections(t *testing.T) {
	for _, p := range Protocols() {
		if p.Label == "gRPC" {
			continue // idle, it is Http2
		}
		t.Run(p.Label, func(t *testing.T) { testIdle(t, p, 10_000, false) })
		t.Run(p.Label+" over TLS", func(t *testing.T) { testIdle(t, p, 2000, true) })
	}
}

func testIdle(t *testing.T, p Protocol, n int, secure bool) {
	limit := maxIdleCost
	if testing.Short() || raceEnabled {
		n /= 10
	}
	n = min(n, openFiles(t)-500)
	callers := startCallers(t, p, secure, n)
	snapshot := bound(p.Snapshot(callers.line(t), 0))
	if secure {
		limit += maxIdleTLS
		chain, key := tlstest.NewAuthority(t, "ca").Issue(t, 1, "pay.example")
		snapshot.Listeners[0].FilterChains[0].TLSContext = &config.TLS{Status: true, CertChain: chain, PrivateKey: key}
	}
	s := Start(t, nil, snapshot, With(func(o *proxy.Options) {
		o.Log, o.Sinks = slog.New(slog.DiscardHandler), nil // what the test keeps does not count
	}))
	before := memory()
	callers.say(t, s.Addr(t, "in"))
	if got := callers.line(t); got != "idle" {
		t.Fatalf("the callers say %q", got)
	}
	busy := memory()
	// Buffers are given back after a while, which takes longer on a busy machine.
	var after figures
	cost, goroutines := 0, 0.0
	for until := time.Now().Add(time.Minute); ; {
		pause(t, 5*time.Second)
		after = memory()
		cost = (after.heap + after.stack - before.heap - before.stack) / n
		goroutines = float64(after.goroutines-before.goroutines) / float64(n)
		if (cost <= limit || raceEnabled) && goroutines <= 1.1 || time.Now().After(until) {
			break
		}
	}
	per := func(m, than figures) string {
		return fmt.Sprintf("%d bytes: heap %d (live objects %d), stacks %d", (m.heap+m.stack-than.heap-than.stack)/n,
			(m.heap-than.heap)/n, (m.live-than.live)/n, (m.stack-than.stack)/n)
	}
	t.Logf("%d idle connections, each: %s; %.2f goroutines; just after a request: %s", n, per(after, before), goroutines, per(busy, before))
	if got := s.Status(t, "in").Connections; got != n {
		t.Fatalf("%d connections, want %d", got, n)
	}
	if cost > limit && !raceEnabled {
		t.Errorf("an idle connection costs %d bytes, more than %d", cost, limit)
	}
	if goroutines > 1.1 {
		t.Errorf("%.2f goroutines per connection", goroutines)
	}
	// What connections cost, they cost all the time; what the runtime does now and
	// then is not theirs.
	used := time.Hour
	for tries := 0; tries < 5 && used > 50*time.Millisecond; tries++ {
		begin := cpu(t)
		pause(t, 2*time.Second)
		used = min(used, cpu(t)-begin)
	}
	t.Logf("%v of CPU in 2 s", used)
	if used > 50*time.Millisecond {
		t.Errorf("idle connections take %v of CPU in 2 s", used)
	}
	callers.say(t, "look")
	if got := callers.line(t); got != "whole" {
		t.Errorf("the callers say %q", got)
	}
}

// pause lets time pass: what is measured is what happens when nothing does.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// figures are the bytes a process uses, after a collection.
type figures struct{ heap, live, stack, goroutines int }

func memory() figures {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{int(m.HeapInuse), int(m.HeapAlloc), int(m.StackInuse), runtime.NumGoroutine()}
}

// cpu returns the CPU time that the process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// openFiles raises the limit of open files as far as it goes and returns it.
func openFiles(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	return int(min(limit.Cur, 1<<20))
}

// process is the one with the callers. It says where its host listens, is told
// where the core does, says "idle" when all callers have had an answer, is told
// to look after them, says "whole" if each connection is good, and ends when it
// is told nothing more.
type process struct {
	to   io.WriteCloser
	from *bufio.Scanner
}

func startCallers(t *testing.T, p Protocol, secure bool, n int) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe, "-test.run=^TestIdleCallers$", "-test.timeout=9m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %t %d", idleCallers, p.Label, secure, n))
	cmd.Stderr = os.Stderr
	to, err := cmd.StdinPipe()
	must(t, err)
	from, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = to.Close()
		_, _ = io.Copy(io.Discard, from)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the callers' process: %v", err)
		}
	})
	return &process{to, bufio.NewScanner(from)}
}

func (c *process) line(t *testing.T) string {
	t.Helper()
	if !c.from.Scan() {
		t.Fatalf("the callers' process has ended: %v", c.from.Err())
	}
	return c.from.Text()
}

func (c *process) say(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(c.to, line)
	must(t, err)
}

// TestIdleCallers is the other process of TestIdleConnections.
func TestIdleCallers(t *testing.T) {
	var label string
	var secure bool
	var n int
	if _, err := fmt.Sscanf(os.Getenv(idleCallers), "%s %t %d", &label, &secure, &n); err != nil {
		t.Skip("it is the other half of TestIdleConnections")
	}
	openFiles(t)
	in := bufio.NewScanner(os.Stdin)
	for _, p := range Protocols() {
		if p.Label != label {
			continue
		}
		fmt.Println(accept(t, kilobytes(t, p)))
		in.Scan()
		address := in.Text()
		clients := make([]protocol.Client, n)
		var asking sync.WaitGroup
		for first := range 8 {
			asking.Go(func() {
				for i := first; i < n; i += 8 {
					clients[i] = connect(t, p, address, secure)
					askOn(t, p, clients[i])
				}
			})
		}
		asking.Wait()
		if t.Failed() {
			return
		}
		fmt.Println("idle")
		in.Scan()
		ended := 0
		for _, c := range clients {
			if c.Err() != nil || c.Stale() {
				ended++
			}
		}
		if ended > 0 {
			fmt.Println(ended, "connections have ended")
			return
		}
		for _, c := range clients { // the quiet time has made nobody forget anything
			askOn(t, p, c)
		}
		if t.Failed() {
			return
		}
		fmt.Println("whole")
		in.Scan()
		for _, c := range clients {
			_ = c.Close()
		}
	}
}

// kilobytes serves connections: it answers requests with 1 KB.
func kilobytes(t *testing.T, p Protocol) func(context.Context, net.Conn) {
	t.Helper()
	srv, err := p.NewServer(protocol.ServerOptions{Listener: "host"})
	must(t, err)
	return func(ctx context.Context, nc net.Conn) {
		c := conn.New(nc)
		defer c.Free()
		_ = srv.ServeConn(ctx, c, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if _, err := all(req.Body); err != nil {
				return nil, err
			}
			return p.Answer(200, strings.NewReader(strings.Repeat("x", 1024)), 1024), nil
		}))
	}
}

// connect opens a connection.
func connect(t *testing.T, p Protocol, address string, secure bool) protocol.Client {
	nc, err := net.Dial("tcp", address)
	if err == nil && secure {
		//nolint:gosec // what is measured is not who answers
		tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: p.Protocol.(protocol.ALPN).ALPN()})
		nc, err = tc, tc.HandshakeContext(t.Context())
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	return p.NewClient(conn.New(nc), protocol.ClientOptions{})
}

// askOn has a request of 1 KB answered by c, nil being nobody.
func askOn(t *testing.T, p Protocol, c protocol.Client) {
	if c == nil {
		return
	}
	resp, err := c.Handle(t.Context(), p.Request("/", strings.NewReader(strings.Repeat("x", 1024)), 1024))
	if err != nil {
		t.Error(err)
		return
	}
	if b, err := all(resp.Body); len(b) != 1024 || err != nil || p.Says(resp) != "200" {
		t.Errorf("%s %.100q, %v", p.Says(resp), b, err)
	}
	_ = resp.Close()
}
