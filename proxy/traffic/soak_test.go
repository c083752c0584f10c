package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest" //nolint:revive // its words are the language of these tests
)

// soakFor is how long the tests under load last: 4 s, or what OTTAVO_SOAK says.
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("OTTAVO_SOAK")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("OTTAVO_SOAK: %v", err)
	}
	return d
}

// mortal is a host on a real socket that can be killed, which resets its
// connections, and that comes back at the same address.
type mortal struct {
	address string
	mu      sync.Mutex
	server  *http.Server
	done    chan struct{}
	open    atomic.Int64
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{address: "127.0.0.1:0"}
	m.rise(t)
	t.Cleanup(m.kill)
	return m
}

func (m *mortal) rise(t *testing.T) {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; {
		var lc net.ListenConfig
		if l, err = lc.Listen(t.Context(), "tcp", m.address); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("the host does not come back: %v", err)
			return
		}
		runtime.Gosched()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address = l.Addr().String()
	m.done = make(chan struct{})
	m.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			_ = c.(*net.TCPConn).SetLinger(0)
			return ctx
		},
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				m.open.Add(1)
			case http.StateClosed:
				m.open.Add(-1)
			}
		},
	}
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		_ = s.Serve(l)
	}(m.server, m.done)
}

func (m *mortal) kill() {
	m.mu.Lock()
	s, done := m.server, m.done
	m.mu.Unlock()
	_ = s.Close()
	<-done
}

// load calls url at a steady rate, late calls at once, until stop, and tells
// of each failure with its time.
type load struct {
	calls, failures atomic.Int64
	mu              sync.Mutex
	failed          []failure
}

type failure struct {
	at   time.Time
	text string
}

func (l *load) run(ctx context.Context, client *http.Client, url string, rate int) {
	ticks := make(chan struct{}, rate)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range ticks {
				l.call(client, url)
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ticks <- struct{}{}
		case <-ctx.Done():
			close(ticks)
			workers.Wait()
			return
		}
	}
}

func (l *load) call(client *http.Client, url string) {
	l.calls.Add(1)
	text := ""
	resp, err := client.Get(url) //nolint:noctx // the client has a time limit
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "GET " {
			text = fmt.Sprintf("%d %q", resp.StatusCode, body)
		}
	}
	if err != nil {
		text = err.Error()
	}
	if text != "" {
		l.failures.Add(1)
		l.mu.Lock()
		l.failed = append(l.failed, failure{time.Now(), text})
		l.mu.Unlock()
	}
}

// report returns the first failures.
func (l *load) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, f := range l.failed[:min(5, len(l.failed))] {
		fmt.Fprintf(&b, "\n%s %s", f.at.Format("15:04:05.000"), f.text)
	}
	return b.String()
}

const detection = 50 * time.Millisecond // the interval of the checks below; a dead host refuses them at once

// mortals starts three hosts behind a core on a real socket.
func mortals(t *testing.T, retry *config.RetryPolicy) (hosts []*mortal, url string, client *http.Client) {
	var list []string
	for range 3 {
		m := newMortal(t)
		hosts, list = append(hosts, m), append(list, m.address)
	}
	to := To("/", "mortals")
	to.Route.RetryPolicy = retry
	cluster := Cluster("mortals", list...)
	cluster.HealthCheck = &config.HealthCheck{
		Protocol: "Http1", Interval: 50 * time.Millisecond, Timeout: 2 * time.Second, InitialDelay: time.Millisecond,
	}
	s := Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("in", "main", "127.0.0.1:0")},
		Routers:   []config.Router{Router("main", to)},
		Clusters:  []config.Cluster{cluster},
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return hosts, "http://" + s.Status(t, "in").Addr.String() + "/", &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// killInTurn kills a host every second and has it back half a second later. It
// returns when each was killed.
func killInTurn(t *testing.T, hosts []*mortal, lasts time.Duration) (kills []time.Time) {
	end := time.Now().Add(lasts)
	for i := 0; time.Now().Before(end); i++ {
		m := hosts[i%len(hosts)]
		kills = append(kills, time.Now())
		m.kill()
		wait(500 * time.Millisecond)
		m.rise(t)
		wait(500 * time.Millisecond)
	}
	return kills
}

// wait lets time pass: these tests are about what happens in it.
func wait(d time.Duration) { <-time.NewTimer(d).C }

// TestG14H20KilledHostsCostNoCall: with retries, callers do not notice that
// hosts die and come back.
func TestG14H20KilledHostsCostNoCall(t *testing.T) {
	hosts, url, client := mortals(t, &config.RetryPolicy{RetryOn: true, NumRetries: 2})
	ctx, stop := context.WithCancel(t.Context())
	var l load
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, client, url, 500) })
	kills := killInTurn(t, hosts, soakFor(t))
	stop()
	running.Wait()
	t.Logf("%d calls, %d failed, %d kills", l.calls.Load(), l.failures.Load(), len(kills))
	if l.failures.Load() > 0 {
		t.Errorf("%d of %d calls failed:%s", l.failures.Load(), l.calls.Load(), l.report())
	}
	if len(kills) == 0 || l.calls.Load() < int64(20*len(kills)) {
		t.Errorf("%d calls for %d kills: that proves nothing", l.calls.Load(), len(kills))
	}
}

// TestI9FailuresEndWithDetection: without retries, calls fail, but only until
// the host's death is known.
func TestI9FailuresEndWithDetection(t *testing.T) {
	hosts, url, client := mortals(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	var l load
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, client, url, 500) })
	kills := killInTurn(t, hosts, soakFor(t))
	stop()
	running.Wait()
	t.Logf("%d calls, %d failed, %d kills", l.calls.Load(), l.failures.Load(), len(kills))
	if len(kills) == 0 || l.calls.Load() < int64(20*len(kills)) {
		t.Errorf("%d calls for %d kills: that proves nothing", l.calls.Load(), len(kills))
	}
	const slack = 200 * time.Millisecond // a call may have waited, and the machine be busy
	for _, f := range l.failed {
		late := true
		for _, k := range kills {
			if d := f.at.Sub(k); d >= 0 && d < detection+slack {
				late = false
			}
		}
		if late {
			t.Errorf("a failure long after the last kill: %s %s", f.at.Format("15:04:05.000"), f.text)
		}
	}
}

// TestH5G1SwapsUnderLoad: a new configuration every tenth of a second costs no
// call, and leaves no goroutine and no connection behind.
func TestH5G1SwapsUnderLoad(t *testing.T) {
	var hosts []*mortal
	var list []string
	for range 4 {
		m := newMortal(t)
		hosts, list = append(hosts, m), append(list, m.address)
	}
	policies := make([]string, 0, 10)
	for _, row := range lb.Builtin() {
		policies = append(policies, row.Name)
	}
	snapshot := func(i int) *config.Snapshot {
		a, b := Cluster("a", list[i%4], list[(i+1)%4]), Cluster("b", list[(i/3)%4], list[(i/3+1)%4], list[(i/3+2)%4])
		a.LBType, b.LBType = policies[i%len(policies)], policies[(i/5)%len(policies)]
		b.ConnectTimeout = time.Duration(1+i/7%3) * time.Second
		if i%2 == 0 {
			b.HealthCheck = &config.HealthCheck{Interval: 20 * time.Millisecond, InitialDelay: time.Millisecond}
			b.OutlierDetection = &config.OutlierDetection{Consecutive5xx: 5}
		}
		if i%3 == 0 {
			a.CircuitBreakers = []config.Breaker{{MaxRequests: 1000, RetryBudget: &config.RetryBudget{Percent: 50, MinConcurrency: 10}}}
		}
		to := To("/", "")
		to.Route.WeightedClusters = []config.WeightedCluster{
			{Cluster: config.ClusterWeight{Name: "a", Weight: 1 + i%5}}, {Cluster: config.ClusterWeight{Name: "b", Weight: 3}},
		}
		routes := []config.Route{to}
		for j := range i % 50 {
			routes = append([]config.Route{To(fmt.Sprintf("/other/%d", j), "a")}, routes...)
		}
		return &config.Snapshot{
			Listeners: []config.Listener{Bound("in", "main", "127.0.0.1:0")},
			Routers:   []config.Router{Router("main", routes...)},
			Clusters:  []config.Cluster{a, b},
		}
	}
	s := Start(t, nil, snapshot(0))
	url := "http://" + s.Status(t, "in").Addr.String() + "/"
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	ctx, stop := context.WithCancel(t.Context())
	var l load
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, client, url, 500) })
	swaps := 0
	for end := time.Now().Add(soakFor(t)); time.Now().Before(end); {
		swaps++
		s.MustApply(t, snapshot(swaps))
		wait(100 * time.Millisecond)
	}
	stop()
	running.Wait()
	t.Logf("%d calls, %d failed, %d swaps, %d goroutines", l.calls.Load(), l.failures.Load(), swaps, runtime.NumGoroutine())
	if l.failures.Load() > 0 {
		t.Errorf("%d of %d calls failed:%s", l.failures.Load(), l.calls.Load(), l.report())
	}
	if swaps < 5 || l.calls.Load() < int64(swaps) {
		t.Errorf("%d calls, %d swaps: that proves nothing", l.calls.Load(), swaps)
	}
	// What is left belongs to the last configuration, which can be as many
	// connections as there were calls at a time, to each host.
	transport.CloseIdleConnections()
	for i, m := range hosts {
		if n := m.open.Load(); n > 2*16+4 {
			t.Errorf("host %d has %d connections", i, n)
		}
	}
}
