package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
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
	m := &mortal{address: testserver.Addr(t)} // nobody else gets it while it is dead
	m.rise(t)
	t.Cleanup(m.kill)
	return m
}

func (m *mortal) rise(t *testing.T) {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(time.Minute); ; {
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
	begun, at time.Time
	text      string
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
	begun, text := time.Now(), ""
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
		l.failed = append(l.failed, failure{begun, time.Now(), text})
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

// mortals are three hosts behind a core on a real socket, and callers.
type mortals struct {
	*Server
	hosts  []*mortal
	url    string
	client *http.Client
	load
}

func newMortals(t *testing.T, retry *config.RetryPolicy) *mortals {
	m := &mortals{}
	var list []string
	for range 3 {
		h := newMortal(t)
		m.hosts, list = append(m.hosts, h), append(list, h.address)
	}
	to := To("/", "mortals")
	to.Route.RetryPolicy = retry
	cluster := Cluster("mortals", list...)
	cluster.HealthCheck = &config.HealthCheck{
		Protocol: "Http1", Interval: 50 * time.Millisecond, Timeout: 30 * time.Second, InitialDelay: time.Millisecond,
	}
	m.Server = Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("in", "main", "127.0.0.1:0")},
		Routers:   []config.Router{Router("main", to)},
		Clusters:  []config.Cluster{cluster},
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	m.url, m.client = "http://"+m.Status(t, "in").Addr.String()+"/", &http.Client{Transport: transport, Timeout: time.Minute}
	return m
}

// death is when a host was killed, and when the core had found that out.
type death struct{ at, known time.Time }

// killInTurn kills a host every second, while callers call, and has it back half
// a second later. It waits until the core knows of each death, and of each
// return, and callers have noticed: a busy machine has its own pace.
func (m *mortals) killInTurn(t *testing.T, lasts time.Duration) (deaths []death) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.run(ctx, m.client, m.url, 500) })
	defer running.Wait()
	defer stop()
	end := time.Now().Add(lasts)
	for i := 0; i == 0 || time.Now().Before(end); i++ {
		h, called := m.hosts[i%len(m.hosts)], m.calls.Load()
		d := death{at: time.Now()}
		h.kill()
		eventually(t, "the core knows that a host is dead", func() bool { return healthOf(m.Server, h.address) != "healthy" })
		d.known = time.Now()
		deaths = append(deaths, d)
		wait(500 * time.Millisecond)
		h.rise(t)
		eventually(t, "the core knows that a host is back", func() bool { return healthOf(m.Server, h.address) == "healthy" })
		eventually(t, "callers call", func() bool { return m.calls.Load() >= called+20 })
		wait(500 * time.Millisecond)
	}
	return deaths
}

// wait lets time pass: these tests are about what happens in it.
func wait(d time.Duration) { <-time.NewTimer(d).C }

// TestG14H20KilledHostsCostNoCall: with retries, callers do not notice that
// hosts die and come back.
func TestG14H20KilledHostsCostNoCall(t *testing.T) {
	m := newMortals(t, &config.RetryPolicy{RetryOn: true, NumRetries: 2})
	deaths := m.killInTurn(t, soakFor(t))
	t.Logf("%d calls, %d failed, %d kills", m.calls.Load(), m.failures.Load(), len(deaths))
	if m.failures.Load() > 0 {
		t.Errorf("%d of %d calls failed:%s", m.failures.Load(), m.calls.Load(), m.report())
	}
}

// TestI9FailuresEndWithDetection: without retries, calls fail, but only until
// the host's death is known.
func TestI9FailuresEndWithDetection(t *testing.T) {
	m := newMortals(t, nil)
	deaths := m.killInTurn(t, soakFor(t))
	t.Logf("%d calls, %d failed, %d kills", m.calls.Load(), m.failures.Load(), len(deaths))
	for _, f := range m.failed {
		if !slices.ContainsFunc(deaths, func(d death) bool { return !f.begun.After(d.known) && !f.at.Before(d.at) }) {
			t.Errorf("a call from %s to %s that met no death: %s", f.begun.Format("15:04:05.000"), f.at.Format("15:04:05.000"), f.text)
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
		b.ConnectTimeout = time.Duration(20+i/7%3) * time.Second
		if i%2 == 0 {
			b.HealthCheck = &config.HealthCheck{Interval: 20 * time.Millisecond, Timeout: 30 * time.Second, InitialDelay: time.Millisecond}
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
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	ctx, stop := context.WithCancel(t.Context())
	var l load
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx, client, url, 500) })
	swaps := 0
	enough := func() bool { return swaps >= 5 && l.calls.Load() >= int64(swaps) }
	for end := time.Now().Add(soakFor(t)); time.Now().Before(end) || !enough() && time.Now().Before(end.Add(time.Minute)); {
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
	for i, m := range hosts { // the others' ends may still be on their way
		eventually(t, fmt.Sprintf("host %d has no more connections than it can need", i), func() bool { return m.open.Load() <= 2*16+4 })
	}
}
