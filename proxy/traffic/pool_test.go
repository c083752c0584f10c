package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// rpcPeer is a host that answers calls after a while and knows its connections.
type rpcPeer struct {
	address string
	while   time.Duration
	// code is the protocol's own status of answers; "" is success.
	code string

	mu    sync.Mutex
	conns map[*conn.Conn]int // by how many calls have come
	all   int
}

// peers puts hosts on the network that speak a protocol.
func (r *rig) peers(name string, while time.Duration, addresses ...string) []*rpcPeer {
	r.t.Helper()
	p, _ := r.tables.Protocols.Lookup(name)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var list []*rpcPeer
	var wg sync.WaitGroup
	for _, address := range addresses {
		h := &rpcPeer{address: address, while: while, conns: make(map[*conn.Conn]int)}
		var extend map[string]any
		if _, framed := p.(protocol.Framed); framed {
			extend = map[string]any{"enable_goaway": true}
		}
		srv, err := p.NewServer(protocol.ServerOptions{Listener: address, Extend: extend})
		must(r.t, err)
		r.Network.Host(address, func(nc net.Conn) {
			wg.Add(1)
			defer wg.Done()
			c := conn.New(nc)
			h.count(c, 0)
			_ = srv.ServeConn(ctx, c, stream.HandlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
				h.count(c, 1)
				return h.answer(ctx, name)
			}))
			_ = c.Close()
			c.Free()
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.conns, c)
		})
		list = append(list, h)
	}
	r.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return list
}

func (h *rpcPeer) answer(ctx context.Context, name string) (*stream.Response, error) {
	timer := time.NewTimer(h.while)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	text := payloads[name][1]
	resp := &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
	switch status := payloads[name][2]; {
	case h.code != "":
		resp.Header.Add(frame.StatusField, h.code)
		resp.Status = 500
	case status != "":
		resp.Header.Add(frame.StatusField, status)
	}
	return resp, nil
}

func (h *rpcPeer) count(c *conn.Conn, calls int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.conns[c]; !known {
		h.all++
	}
	h.conns[c] += calls
}

// open returns the open connections, and how many there ever were.
func (h *rpcPeer) open() (open []*conn.Conn, all int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		open = append(open, c)
	}
	return open, h.all
}

// wantOpen demands so many open connections, also in the core's own view, and so
// many in all.
func (r *rig) wantOpen(when string, h *rpcPeer, open, all int) {
	r.t.Helper()
	is, were := h.open()
	known := -1
	for _, host := range r.Clusters()[0].Hosts {
		if host.Address == h.address {
			known = host.Connections
		}
	}
	if len(is) != open || were != all || known != open {
		r.t.Errorf("%s: %d connections to %s are open, the core says %d, %d in all; want %d, %d in all", when, len(is), h.address, known, were, open, all)
	}
}

// calls sends so many calls at a time by each caller, all of which must succeed.
func calls(t *testing.T, name string, each int, callers ...protocol.Client) {
	t.Helper()
	var wg sync.WaitGroup
	for i, c := range callers {
		for range each {
			wg.Go(func() {
				if status, err := call(c, name, "pay"); status != 200 || err != nil {
					t.Errorf("caller %d: status %d, %v", i, status, err)
				}
			})
		}
	}
	wg.Wait()
}

func (r *rig) callers(name string, n int) (list []protocol.Client) {
	for range n {
		list = append(list, r.rpcCaller(name))
	}
	return list
}

// under runs a test for each RPC protocol, with a core whose cluster has these keys.
func under(t *testing.T, cluster string, test func(t *testing.T, name string, r *rig)) {
	for _, name := range []string{"bolt", "boltv2", "dubbo", "tars", "dubbothrift"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, name, begin(t, rpcFile("downstream_protocol: "+name, cluster), speaking(t)))
			})
		})
	}
}

// By default everything shares one connection; with max_connections, callers are
// spread over as many, each always on the same.
func TestPoolMultiplex(t *testing.T) {
	for cluster, want := range map[string]int{
		``:                       1,
		`pool_mode: multiplex`:   1,
		`circuit_breakers: [{}]`: 1,
		`circuit_breakers: [{max_connections: 1}]`:                         1,
		`circuit_breakers: [{max_connections: 4}]`:                         4,
		`circuit_breakers: [{max_connections: 100}], pool_mode: multiplex`: 8,
	} {
		t.Run(cluster, func(t *testing.T) {
			under(t, cluster, func(t *testing.T, name string, r *rig) {
				h := r.peers(name, time.Millisecond, "host:1")[0]
				callers := r.callers(name, 8)
				for range 3 {
					calls(t, name, 25, callers...)
				}
				r.wantOpen("at the end", h, want, want)
				open, _ := h.open()
				for _, c := range open {
					if got, even := h.conns[c], 600/want; want > 1 && got != even {
						t.Errorf("a connection has had %d calls, want %d", got, even)
					}
				}
				must(t, callers[0].Close())
				synctest.Wait()
				r.wantOpen("when a caller has gone", h, want, want)
			})
		})
	}
}

// With ping_pong a connection carries one call at a time; one whose call was
// given up carries none any more.
func TestPoolPingPong(t *testing.T) {
	under(t, `pool_mode: ping_pong`, func(t *testing.T, name string, r *rig) {
		h := r.peers(name, time.Second, "host:1")[0]
		callers := r.callers(name, 2)
		calls(t, name, 50, callers...)
		r.wantOpen("after 100 calls at a time", h, 100, 100)
		for range 3 {
			calls(t, name, 1, callers...)
		}
		r.wantOpen("after some more", h, 100, 100)

		open, _ := h.open()
		for _, c := range open {
			_ = c.Close()
		}
		r.wantOpen("when the host has closed them", h, 0, 100)

		h.while = time.Minute // the route gives a call 10 s
		if status, err := call(callers[0], name, "pay"); err != nil || status != 504 && status != 500 {
			t.Errorf("a slow call: status %d, %v", status, err)
		}
		synctest.Wait()
		r.wantOpen("after a call that was given up", h, 0, 101)
	})
}

// Over HTTP/2, too, and HTTP/1 knows nothing else.
func TestPoolPingPongHTTP(t *testing.T) {
	for _, name := range []string{"Http1", "Http2"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, fmt.Sprintf(`
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{match: {prefix: /}, route: {cluster_name: c, upstream_protocol: %s}}]}]}]
clusters: [{name: c, pool_mode: ping_pong, hosts: [{address: "host:1"}]}]`, name), speaking(t))
				h := r.peers(name, time.Second, "host:1")[0]
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { r.want("200", "/") })
				}
				wg.Wait()
				r.wantOpen("after 10 requests at a time", h, 10, 10)
			})
		})
	}
}

// With binding, each connection of a caller has one of its own to a host, and
// either goes with the other.
func TestPoolBinding(t *testing.T) {
	under(t, `pool_mode: binding`, func(t *testing.T, name string, r *rig) {
		h := r.peers(name, time.Second, "host:1")[0]
		callers := r.callers(name, 20)
		for range 3 {
			calls(t, name, 5, callers...)
		}
		r.wantOpen("with 20 callers", h, 20, 20)

		// A caller goes, in the middle of a call.
		go func() { _, _ = call(callers[0], name, "pay") }()
		time.Sleep(time.Millisecond)
		must(t, callers[0].Close())
		synctest.Wait()
		r.wantOpen("when a caller has gone", h, 19, 20)

		// The host closes the connections of all, most of which are idle. The calls
		// under way fail at once, and the callers are gone.
		var wg sync.WaitGroup
		begin := time.Now()
		for _, c := range callers[1:4] {
			wg.Go(func() {
				if status, err := call(c, name, "pay"); status == 200 || err != nil {
					t.Errorf("a call whose connection breaks: status %d, %v", status, err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		open, _ := h.open()
		for _, c := range open {
			_ = c.Close()
		}
		wg.Wait()
		synctest.Wait()
		if took := time.Since(begin); took != time.Millisecond {
			t.Errorf("it took %v", took)
		}
		r.wantOpen("when the host has closed all", h, 0, 20)
		for i, c := range callers {
			if c.Err() == nil {
				t.Errorf("caller %d still has its connection", i)
			}
		}
		if n := r.Status(t, "in").Connections; n != 0 {
			t.Errorf("%d callers' connections are left", n)
		}
		calls(t, name, 5, r.callers(name, 2)...)
		r.wantOpen("with two new callers", h, 2, 22)
	})
}

// All calls of a caller go to one host, however many there are; when that is
// gone, so is the caller, and the next one has a host that is there.
func TestPoolBindingHosts(t *testing.T) {
	under(t, `pool_mode: binding`, func(t *testing.T, name string, r *rig) {
		text := strings.Replace(rpcFile("downstream_protocol: "+name, "pool_mode: binding"), `[{address: "host:1"}]`, `[{address: "host:1"}, {address: "host:2"}, {address: "host:3"}]`, 1)
		r.apply(text)
		peers := r.peers(name, time.Second, "host:1", "host:2") // nobody is at the third
		callers := r.callers(name, 10)
		failed := 0
		for _, c := range callers {
			for status := 0; status != 200; {
				var err error
				if status, err = call(c, name, "pay"); err != nil {
					t.Fatal(err)
				}
				if status != 200 {
					failed++
				}
			}
		}
		if failed == 0 || failed > 10 {
			t.Errorf("%d calls have failed", failed)
		}
		calls(t, name, 5, callers...) // everybody has a host by now
		first, _ := peers[0].open()
		second, _ := peers[1].open()
		if len(first)+len(second) != 10 {
			t.Errorf("%d and %d connections, want 10 in all", len(first), len(second))
		}
		// Another configuration in which the hosts stay changes nothing.
		r.apply(strings.Replace(text, "timeout: 10s", "timeout: 11s", 1))
		calls(t, name, 5, callers...)
		for i, h := range peers {
			if again, all := h.open(); len(again) != all {
				t.Errorf("host %d has had %d connections, %d are open", i+1, all, len(again))
			}
		}
		// One without a host lets the connections there go, and no caller.
		r.apply(strings.Replace(text, `{address: "host:1"}, `, "", 1))
		synctest.Wait()
		if open, _ := peers[0].open(); len(open) != 0 {
			t.Errorf("%d connections to a host that was taken away", len(open))
		}
		for i, c := range callers {
			if c.Err() != nil {
				t.Errorf("caller %d: %v", i, c.Err())
			}
		}
	})
}

// A host that asks for no more calls on a connection gets none; the caller has
// another connection then, and notices nothing.
func TestPoolBindingGoAway(t *testing.T) {
	under(t, `pool_mode: binding`, func(t *testing.T, name string, r *rig) {
		if name == "boltv2" || name == "dubbothrift" {
			return // they cannot ask
		}
		h := r.peers(name, time.Second, "host:1")[0]
		callers := r.callers(name, 3)
		calls(t, name, 2, callers...)
		open, _ := h.open()
		for _, c := range open { // they are idle
			c.Drain()
		}
		time.Sleep(5 * time.Second)
		r.wantOpen("when the host has asked", h, 0, 3)
		calls(t, name, 2, callers...)
		r.wantOpen("after the next calls", h, 3, 6)

		// In the middle of calls: those are answered.
		var wg sync.WaitGroup
		wg.Go(func() { calls(t, name, 2, callers...) })
		time.Sleep(time.Millisecond)
		open, _ = h.open()
		for _, c := range open {
			c.Drain()
		}
		synctest.Wait()
		calls(t, name, 1, callers...)
		wg.Wait()
		time.Sleep(5 * time.Second)
		r.wantOpen("after a go-away in the middle of calls", h, 3, 9)
		for i, c := range callers {
			if c.Err() != nil {
				t.Errorf("caller %d: %v", i, c.Err())
			}
		}
	})
}

// A caller over the limit is refused, and has its turn when another has gone.
func TestPoolBindingLimit(t *testing.T) {
	under(t, `pool_mode: binding, circuit_breakers: [{max_connections: 2}]`, func(t *testing.T, name string, r *rig) {
		h := r.peers(name, time.Second, "host:1")[0]
		callers := r.callers(name, 3)
		calls(t, name, 2, callers[:2]...)
		synctest.Wait() // for their records, which come a moment after the answers
		if status, err := call(callers[2], name, "pay"); status == 200 || err != nil {
			t.Errorf("over the limit: status %d, %v", status, err)
		}
		if rec := r.Records.Last(t, 5); rec.Status != 503 || !strings.Contains(rec.Err.Error(), "all 2 connections allowed are bound to other callers") {
			t.Errorf("record %+v", rec)
		}
		must(t, callers[0].Close())
		synctest.Wait()
		calls(t, name, 2, callers[2])
		r.wantOpen("at the end", h, 2, 3)
	})
}

// A connection to a host that nobody uses for long is closed, heartbeats or
// not, and the caller keeps its own.
func TestPoolIdle(t *testing.T) {
	for _, mode := range []string{"multiplex", "ping_pong", "binding"} {
		t.Run(mode, func(t *testing.T) {
			under(t, `idle_timeout: 20s, keepalive: {interval: 1s}, pool_mode: `+mode, func(t *testing.T, name string, r *rig) {
				h := r.peers(name, time.Second, "host:1")[0]
				caller := r.rpcCaller(name)
				calls(t, name, 1, caller)
				time.Sleep(19 * time.Second)
				r.wantOpen("before idle_timeout", h, 1, 1)
				time.Sleep(2 * time.Second)
				r.wantOpen("after it", h, 0, 1)
				calls(t, name, 1, caller)
				r.wantOpen("with the next call", h, 1, 2)
			})
		})
	}
}

// An unknown pool_mode is an error that says which there are.
func TestPoolUnknown(t *testing.T) {
	_, _, err := parse(rpcFile("downstream_protocol: bolt", "pool_mode: tcp"), speaking(t))
	for _, want := range []string{"clusters[0].pool_mode", `"tcp"`, "binding", "multiplex", "ping_pong"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
