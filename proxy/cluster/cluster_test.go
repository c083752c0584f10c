package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hosts is a network in memory: every address answers every request with
// itself as the body, unless it is down.
type hosts struct {
	mu    sync.Mutex
	down  map[string]bool
	conns map[net.Conn]string
	dials atomic.Int64
	slow  chan struct{} // when set, answers wait for it to close
}

func (h *hosts) dial(_ context.Context, address string) (net.Conn, error) {
	h.dials.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down[address] {
		return nil, errors.New("connection refused")
	}
	near, far := conn.Pipe()
	if h.conns == nil {
		h.conns = make(map[net.Conn]string)
	}
	h.conns[far] = address
	go h.serve(far, address)
	return near, nil
}

func (h *hosts) serve(c net.Conn, address string) {
	defer func() {
		_ = c.Close()
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	}()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if h.slow != nil {
			<-h.slow
		}
		resp := &http.Response{
			StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Request: req,
			Body: io.NopCloser(strings.NewReader(address)), ContentLength: int64(len(address)),
		}
		if resp.Write(c) != nil {
			return
		}
	}
}

// open returns how many connections there are.
func (h *hosts) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func tables(t testing.TB, dial func(context.Context, string) (net.Conn, error), rows ...lb.Row) cluster.Tables {
	t.Helper()
	balancers, err := lb.NewTable(append(lb.Builtin(), rows...)...)
	if err != nil {
		t.Fatal(err)
	}
	protocols, err := protocol.NewTable(http1.Protocol{})
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Tables{Balancers: balancers, Protocols: protocols, Dial: dial}
}

func list(addresses ...string) (hosts []config.Host) {
	for _, a := range addresses {
		hosts = append(hosts, config.Host{Address: a})
	}
	return hosts
}

func newCluster(t testing.TB, cfg config.Cluster, tb cluster.Tables, before *cluster.Cluster) *cluster.Cluster {
	t.Helper()
	cfg.Name = "pay"
	c, _, err := cluster.New(cfg, tb, before, "clusters[0]")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get() *stream.Request {
	return &stream.Request{Method: "GET", Path: "/", Authority: "pay", UpstreamProtocol: "Http1", Deadline: time.Now().Add(30 * time.Second)}
}

// call sends a request and returns the body of the answer.
func call(t testing.TB, h stream.Handler, req *stream.Request) (string, error) {
	t.Helper()
	resp, err := h.Handle(t.Context(), req)
	if err != nil {
		if _, ok := errors.AsType[*stream.Error](err); !ok {
			t.Errorf("error is a %T: %v", err, err)
		}
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	if err := resp.Close(); err != nil {
		t.Error(err)
	}
	return string(b), nil
}

func mustCall(t testing.TB, h stream.Handler, req *stream.Request) string {
	t.Helper()
	body, err := call(t, h, req)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func wantActive(t testing.TB, c *cluster.Cluster, want int) {
	t.Helper()
	sum := 0
	for _, h := range c.Hosts() {
		sum += h.Active()
	}
	if sum != want {
		t.Errorf("%d requests are in flight, want %d", sum, want)
	}
}

func TestRoundRobinOverRealHosts(t *testing.T) {
	var addresses []string
	for range 3 {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		}))
		defer srv.Close()
		addresses = append(addresses, srv.Listener.Addr().String())
	}
	c := newCluster(t, config.Cluster{Hosts: list(addresses...)}, tables(t, nil), nil)
	defer c.Close()
	got := map[string]int{}
	for range 30 {
		req := get()
		body := mustCall(t, c, req)
		if req.Info.Host != body || req.Info.Attempts != 1 {
			t.Fatalf("answer of %s, noted %+v", body, req.Info)
		}
		got[body]++
	}
	for _, a := range addresses {
		if got[a] != 10 {
			t.Errorf("%s answered %d of 30", a, got[a])
		}
	}
	wantActive(t, c, 0)
}

func TestHostDown(t *testing.T) {
	h := &hosts{down: map[string]bool{"b:1": true}}
	c := newCluster(t, config.Cluster{Hosts: list("a:1", "b:1")}, tables(t, h.dial), nil)
	defer c.Close()
	failed := 0
	for range 10 {
		req := get()
		body, err := call(t, c, req)
		if err == nil {
			if body != "a:1" {
				t.Errorf("answered by %q", body)
			}
			continue
		}
		failed++
		e := stream.AsError(err)
		if e.Kind != stream.Connect || e.Side != stream.Upstream || !e.Retry || req.Info.Host != "b:1" || !strings.Contains(err.Error(), "b:1") {
			t.Errorf("%v (%+v), noted %+v", err, e, req.Info)
		}
		// The next attempt of the same request goes elsewhere.
		if body := mustCall(t, c, req); body != "a:1" || req.Info.Attempts != 2 {
			t.Errorf("second attempt: %q, %+v", body, req.Info)
		}
	}
	if failed == 0 {
		t.Error("the host that is down was never tried")
	}
	wantActive(t, c, 0)
}

func TestRealHostRefuses(t *testing.T) {
	c := newCluster(t, config.Cluster{Hosts: list(testserver.Addr(t))}, tables(t, nil), nil)
	_, err := call(t, c, get())
	if e := stream.AsError(err); e.Kind != stream.Connect || !e.Retry || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

func TestNoHost(t *testing.T) {
	for _, c := range []struct {
		hosts []config.Host
		sick  bool
		want  string
	}{
		{nil, false, "no host: cluster pay: the cluster has no hosts"},
		{list("a:1"), true, "no host: cluster pay: the only host, a:1, is not healthy (marked)"},
	} {
		cl := newCluster(t, config.Cluster{Hosts: c.hosts, CircuitBreakers: []config.Breaker{{MaxRequests: 1}}}, tables(t, nil), nil)
		for _, h := range cl.Hosts() {
			h.SetTrouble(upstream.Marked, c.sick)
		}
		for range 3 { // the limit of one is not used up by them
			if _, err := call(t, cl, get()); stream.AsError(err).Kind != stream.NoHost || err.Error() != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
		}
	}
}

func TestUnknownProtocol(t *testing.T) {
	h := &hosts{}
	c := newCluster(t, config.Cluster{Hosts: list("a:1"), CircuitBreakers: []config.Breaker{{MaxRequests: 1}}}, tables(t, h.dial), nil)
	defer c.Close()
	req := get()
	req.UpstreamProtocol = "telex"
	for range 3 {
		if _, err := call(t, c, req); err == nil || !strings.Contains(err.Error(), `unknown upstream protocol "telex" (known: Http1)`) {
			t.Errorf("%v", err)
		}
	}
	// Names have no case: one pool, not two.
	for _, name := range []string{"Http1", "http1", "HTTP1"} {
		req := get()
		req.UpstreamProtocol = name
		mustCall(t, c, req)
	}
	if n := h.dials.Load(); n != 1 {
		t.Errorf("%d dials for one protocol, want 1", n)
	}
}

func TestMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{slow: make(chan struct{})}
		cfg := config.Cluster{Hosts: list("a:1"), CircuitBreakers: []config.Breaker{{MaxRequests: 10}}}
		c := newCluster(t, cfg, tables(t, h.dial), nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { mustCall(t, c, get()) })
		}
		synctest.Wait()
		_, err := call(t, c, get())
		if e := stream.AsError(err); e.Kind != stream.Overload || !e.Retry || !strings.Contains(err.Error(), "cluster pay: max_requests") {
			t.Errorf("the 11th: %v", err)
		}
		// Those in flight count in the cluster that comes in its place, too.
		cfg.Hosts = list("a:1", "b:1")
		next := newCluster(t, cfg, tables(t, h.dial), c)
		c.Retire(next)
		if _, err := call(t, next, get()); stream.AsError(err).Kind != stream.Overload {
			t.Errorf("the 11th after an update: %v", err)
		}
		wantActive(t, c, 10)
		close(h.slow)
		wg.Wait()
		for range 20 { // all places are free again
			mustCall(t, next, get())
		}
		wantActive(t, next, 0)
		next.Close()
		c.Close()
	})
}

func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{slow: make(chan struct{})}
		c := newCluster(t, config.Cluster{Hosts: list("a:1"), CircuitBreakers: []config.Breaker{{MaxConnections: 2}}}, tables(t, h.dial), nil)
		defer c.Close()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { mustCall(t, c, get()) })
		}
		synctest.Wait()
		if _, err := call(t, c, get()); stream.AsError(err).Kind != stream.Overload {
			t.Errorf("the third: %v", err)
		}
		close(h.slow)
		wg.Wait()
		mustCall(t, c, get())
	})
}

func TestUpdateKeepsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{}
		tb := tables(t, h.dial)
		c := newCluster(t, config.Cluster{Hosts: list("a:1", "b:1", "b:1")}, tb, nil)
		for range 6 {
			mustCall(t, c, get())
		}
		if h.dials.Load() != 3 || h.open() != 3 {
			t.Fatalf("%d dials, %d open, want 3", h.dials.Load(), h.open())
		}
		next := newCluster(t, config.Cluster{Hosts: list("b:1", "c:1")}, tb, c)
		if next.Hosts()[0] != c.Hosts()[1] {
			t.Error("the host that stayed was made anew")
		}
		c.Retire(next)
		synctest.Wait()
		if n := h.open(); n != 1 {
			t.Errorf("%d connections after the update, want that of the host that stayed", n)
		}
		for range 4 {
			mustCall(t, next, get())
		}
		if n := h.dials.Load(); n != 4 {
			t.Errorf("%d dials, want one more, to the new host", n)
		}
		// A request that began before the update may come to its pool after it.
		mustCall(t, c, get())
		mustCall(t, c, get())
		mustCall(t, c, get())
		synctest.Wait()
		if n := h.open(); n != 2 {
			t.Errorf("%d connections are open, want 2: a retired cluster keeps none", n)
		}
		// Another limit: connections cannot be shared.
		last := newCluster(t, config.Cluster{Hosts: list("b:1", "c:1"), ConnectTimeout: time.Second}, tb, next)
		next.Retire(last)
		synctest.Wait()
		if n := h.open(); n != 0 {
			t.Errorf("%d connections are open, want none", n)
		}
		wantActive(t, next, 0)
		last.Close()
		// Nor does a closed one serve, or leak, what comes late.
		if _, err := call(t, last, get()); stream.AsError(err).Kind != stream.Stopping {
			t.Errorf("after Close: %v", err)
		}
	})
}

// learner is a balancer that learns, of the first host only.
type learner struct {
	host *upstream.Host
	mu   sync.Mutex
	got  []lb.Outcome
}

func (l *learner) Pick(*stream.Request) (*upstream.Host, error) { return l.host, nil }

func (l *learner) Done(host *upstream.Host, o lb.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if host != l.host {
		o.Status = -1
	}
	l.got = append(l.got, o)
}

// fixed answers by itself, for what a real protocol has not got yet.
type fixed struct {
	protocol.Protocol
	handle func(req *stream.Request) (*stream.Response, error)
}

func (fixed) Name() string { return "Fixed" }

func (f fixed) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	return &fixedClient{c: c, f: f, opts: opts}
}

type fixedClient struct {
	c    *conn.Conn
	f    fixed
	opts protocol.ClientOptions
}

func (*fixedClient) Available() int  { return 1 }
func (*fixedClient) Err() error      { return nil }
func (*fixedClient) Stale() bool     { return false }
func (cl *fixedClient) Close() error { return cl.c.Close() }

func (cl *fixedClient) Handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	resp, err := cl.f.handle(req)
	if err != nil || resp == stream.NoResponse {
		cl.opts.Released()
	}
	return resp, err
}

// brokenBody ends in the middle.
type brokenBody struct{}

func (brokenBody) Close() error { return nil }
func (brokenBody) Read([]byte) (int, error) {
	return 1, &stream.Error{Kind: stream.Reset, Side: stream.Upstream}
}

// midGRPC is an answer of gRPC on which a status other than 200 follows.
func midGRPC(*stream.Request) (*stream.Response, error) {
	resp := &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader("message")), ContentLength: -1}
	resp.Header.Add("content-type", "application/grpc")
	resp.Trailer.Add("grpc-status", "14")
	return resp, nil
}

func TestBalancerLearnsOfEveryEnd(t *testing.T) {
	l := &learner{}
	h := &hosts{}
	var answer func(*stream.Request) (*stream.Response, error)
	tb := tables(t, h.dial, lb.Row{Name: "LEARN", New: func(lb.Options) (lb.Policy, decode.Problems, error) {
		return lb.PolicyFunc(func(hosts []*upstream.Host, _ lb.Picker) lb.Picker { l.host = hosts[0]; return l }), nil, nil
	}})
	var err error
	tb.Protocols, err = protocol.NewTable(fixed{handle: func(req *stream.Request) (*stream.Response, error) { return answer(req) }})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, config.Cluster{Hosts: list("a:1"), LBType: "LEARN", CircuitBreakers: []config.Breaker{{MaxRequests: 1}}}, tb, nil)
	defer c.Close()
	for _, tc := range []struct {
		name   string
		answer func(*stream.Request) (*stream.Response, error)
		status int
		err    bool
	}{
		{"gRPC", midGRPC, 503, false},
		// The protocol may be writing the trailer at this moment.
		{"gRPC, given up", midGRPC, 200, false},
		{"one-way", func(*stream.Request) (*stream.Response, error) { return stream.NoResponse, nil }, 0, false},
		{"failed", func(*stream.Request) (*stream.Response, error) {
			return nil, stream.Errorf(stream.Reset, stream.Upstream, "x")
		}, 0, true},
		{"no body", func(*stream.Request) (*stream.Response, error) { return &stream.Response{Status: 204}, nil }, 204, false},
		{"broken body", func(*stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, Body: brokenBody{}, ContentLength: 9}, nil
		}, 200, true},
		{"panic", func(*stream.Request) (*stream.Response, error) { panic("defect") }, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer, l.got = tc.answer, nil
			req := get()
			req.UpstreamProtocol = "Fixed"
			func() {
				defer func() { _ = recover() }()
				resp, err := c.Handle(t.Context(), req)
				if err != nil {
					return
				}
				if resp == stream.NoResponse && resp.Body != nil {
					t.Error("the answer that everybody shares was changed")
				}
				if resp.Body != nil && tc.name != "gRPC, given up" {
					_, _ = io.ReadAll(resp.Body)
				}
				_ = resp.Close()
			}()
			if len(l.got) != 1 || l.got[0].Status != tc.status || (l.got[0].Err != nil) != tc.err {
				t.Errorf("learned %+v, want one outcome with status %d, error %v", l.got, tc.status, tc.err)
			}
			l.got = nil
		})
	}
}

func TestManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{}
		tb := tables(t, h.dial)
		same := config.Cluster{Name: "same", Hosts: list("a:1")}
		m, err := cluster.NewManager([]config.Cluster{same, {Name: "gone", Hosts: list("b:1")}}, tb, nil, "clusters")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range m.Names() {
			c, _ := m.Cluster(name)
			mustCall(t, c, get())
		}
		if _, ok := m.Cluster("none"); ok {
			t.Error("there is a cluster that nobody configured")
		}

		bad := []config.Cluster{same, {Name: "x", LBType: "LB_NONE"}, {Name: "y", LBType: "LB_NEITHER"}}
		_, err = cluster.NewManager(bad, tb, m, "clusters")
		problems, ok := errors.AsType[decode.Problems](err)
		if !ok || len(problems) != 2 || problems[0].Path != "clusters[1].lb_type" || problems[1].Path != "clusters[2].lb_type" ||
			!strings.Contains(err.Error(), "LB_ROUNDROBIN") {
			t.Errorf("%v", err)
		}

		next, err := cluster.NewManager([]config.Cluster{same}, tb, m, "clusters")
		if err != nil {
			t.Fatal(err)
		}
		m.Retire(next)
		synctest.Wait()
		if n := h.open(); n != 1 {
			t.Errorf("%d connections, want that of the cluster that stayed", n)
		}
		a, _ := m.Cluster("same")
		b, _ := next.Cluster("same")
		if a != b {
			t.Error("a cluster that did not change was made anew")
		}
		next.Retire(nil)
		next.Close()
		synctest.Wait()
		if n := h.open(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Adopting hosts is quick also when there are many.
func TestAdoptManyHosts(t *testing.T) {
	var hosts []config.Host
	for i := range 5000 {
		hosts = append(hosts, config.Host{Address: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250)})
	}
	tb := tables(t, nil)
	c := newCluster(t, config.Cluster{Hosts: hosts}, tb, nil)
	var next *cluster.Cluster
	best := time.Hour
	for range 5 { // the best counts: a machine may be busy
		begin := time.Now()
		next = newCluster(t, config.Cluster{Hosts: hosts[1:]}, tb, c)
		best = min(best, time.Since(begin))
	}
	if best > 2*time.Second {
		t.Errorf("took %v", best)
	}
	for i, h := range next.Hosts() {
		if h != c.Hosts()[i+1] {
			t.Fatalf("host %d was made anew", i)
		}
	}
}
