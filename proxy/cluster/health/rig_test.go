package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func protocols(t testing.TB) *protocol.Table {
	t.Helper()
	table, err := protocol.NewTable(http1.Protocol{}, http2.Protocol{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func parse(t testing.TB, cfg config.HealthCheck) health.Check {
	t.Helper()
	check, warnings, err := health.Parse(cfg, "hc")
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	return check
}

func newHost(address string) *upstream.Host {
	return upstream.NewHost(config.Host{Address: address}, nil)
}

func newHosts(n int) []*upstream.Host {
	hosts := make([]*upstream.Host, n)
	for i := range hosts {
		hosts[i] = newHost(fmt.Sprintf("10.0.%d.%d:80", i/250, i%250))
	}
	return hosts
}

func out(h *upstream.Host) bool { return h.Trouble()&upstream.CheckFailed != 0 }

func countOut(hosts []*upstream.Host) (n int) {
	for _, h := range hosts {
		if out(h) {
			n++
		}
	}
	return n
}

// network is where the hosts are: it says what becomes of a connection to one.
type network struct {
	mu sync.Mutex
	// answer says what happens at the n-th dial of an address, counted from 0:
	// nil is a connection.
	answer func(ctx context.Context, address string, n int) error
	// serve gets the other end of a connection; nil is nobody.
	serve func(net.Conn)

	start time.Time
	dials map[string][]time.Duration // when, since start
	now   int                        // dials under way
	most  int
	wg    sync.WaitGroup
	last  health.Target
}

var errRefused = errors.New("connection refused")

func newNetwork(answer func(ctx context.Context, address string, n int) error) *network {
	return &network{answer: answer, start: time.Now(), dials: make(map[string][]time.Duration)}
}

func (w *network) dial(ctx context.Context, to health.Target) (net.Conn, error) {
	w.mu.Lock()
	address := to.Host.Address
	n := len(w.dials[address])
	w.dials[address] = append(w.dials[address], time.Since(w.start))
	w.now++
	w.most = max(w.most, w.now)
	w.last = to
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if w.answer != nil {
		if err := w.answer(ctx, address, n); err != nil {
			return nil, err
		}
	}
	near, far := conn.Pipe()
	if w.serve != nil {
		w.wg.Go(func() { w.serve(far) })
	}
	return near, nil
}

// times returns when an address was dialed, since the beginning.
func (w *network) times(address string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Duration(nil), w.dials[address]...)
}

// peak returns how many dials there were at a time.
func (w *network) peak() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// rig is a running Checker.
type rig struct {
	*health.Checker
	stop func()
}

func (w *network) run(t testing.TB, cfg config.HealthCheck, hosts []*upstream.Host, change func(*health.Options)) rig {
	t.Helper()
	opts := health.Options{Cluster: "c", Dial: w.dial, Protocols: protocols(t)}
	if change != nil {
		change(&opts)
	}
	c := health.New(parse(t, cfg), opts)
	c.SetHosts(hosts)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			w.wg.Wait()
		})
	}
	return rig{c, stop}
}

// hang answers nothing until ctx ends.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
