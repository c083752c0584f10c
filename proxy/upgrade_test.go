package proxy_test

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
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/websocket"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

const (
	wsOffer    = "GET /ws HTTP/1.1\r\nHost: pay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	wsAccepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)

// upgrades is a core in front of a host that agrees to any upgrade, and then
// sends back what it gets; it answers other requests with "plain".
func upgrades(t *testing.T, change func(*config.Snapshot)) *Server {
	t.Helper()
	n := &Network{}
	n.Host("h:1", func(nc net.Conn) {
		defer func() { _ = nc.Close() }()
		for r := bufio.NewReader(nc); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			switch offered := req.Header.Get("Upgrade"); {
			case offered == "":
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
				continue
			case req.URL.Path == "/no":
				_, _ = io.WriteString(nc, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
				continue
			}
			_, _ = io.WriteString(nc, wsAccepted)
			_, _ = io.Copy(nc, r)
			return
		}
	})
	snapshot := &config.Snapshot{
		Listeners: []config.Listener{Listener("in", "main")},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", "h:1")},
	}
	if change != nil {
		change(snapshot)
	}
	return Start(t, n, snapshot)
}

// expect checks the next bytes that come.
func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

// expectAnswer reads an answer after which the connection goes on, and checks
// its status and that its body has text in it.
func expectAnswer(t *testing.T, r *bufio.Reader, status int, text string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	must(t, err)
	if resp.StatusCode != status || !strings.Contains(string(body), text) || resp.Close {
		t.Fatalf("got %d %q, closes %v; want %d %q", resp.StatusCode, body, resp.Close, status, text)
	}
}

func say(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	must(t, err)
}

// Through the whole core: a tunnel outlives the route's time, has one record,
// when it ends, and its connections serve nobody else.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgrades(t, func(snapshot *config.Snapshot) {
			snapshot.Routers[0].VirtualHosts[0].Routes[0].Route.Timeout = time.Second
			snapshot.Clusters[0].CircuitBreakers = []config.Breaker{{MaxRequests: 1}}
		})
		plain := func(status int, body string) {
			t.Helper()
			other := s.Dial(t, "in")
			say(t, other, "GET / HTTP/1.1\r\nHost: pay\r\n\r\n")
			expectAnswer(t, bufio.NewReader(other), status, body)
		}
		plain(200, "plain")
		s.Records.Wait(t, 1)
		c := s.Dial(t, "in")
		say(t, c, strings.Replace(wsOffer, "/ws", "/no", 1)+wsOffer+"early")
		r := bufio.NewReader(c)
		expectAnswer(t, r, 401, "no")
		expect(t, r, wsAccepted+"early")
		if n := s.Network.Dials("h:1"); n != 1 {
			t.Errorf("%d connections to the host", n)
		}
		for range 4 {
			time.Sleep(time.Minute)
			say(t, c, "ping!")
			expect(t, r, "ping!")
		}
		synctest.Wait()
		if got := len(s.Records.All()); got != 2 {
			t.Errorf("%d records while the tunnel is open", got)
		}
		plain(503, "overload") // it counts as a request in flight
		s.Records.Wait(t, 3)
		must(t, c.(interface{ CloseWrite() error }).CloseWrite())
		rest, err := io.ReadAll(r)
		if len(rest) > 0 || err != nil {
			t.Errorf("at the end: %q, %v", rest, err)
		}
		rec := s.Records.Last(t, 4)
		if rec.Status != 101 || rec.Err != nil || rec.BytesIn != 25 || rec.BytesOut != 25 || rec.Duration < 4*time.Minute || rec.FirstByte > time.Second || rec.Path != "/ws" || rec.Host != "h:1" {
			t.Errorf("record %+v", rec)
		}
		plain(200, "plain") // the tunnel's place is free again, its connection is not used
		if n := s.Network.Dials("h:1"); n != 2 {
			t.Errorf("%d connections to the host", n)
		}
		s.Records.Wait(t, 5)
	})
}

// A host that closed its kept connection meanwhile does not fail an upgrade.
func TestUpgradeKeptConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.Host("h:1", func(nc net.Conn) {
			defer func() { _ = nc.Close() }()
			r := bufio.NewReader(nc)
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				_, _ = r.Peek(1) // takes the next request, and does not answer
				return
			}
			_, _ = io.WriteString(nc, wsAccepted+"hello")
			_, _ = io.Copy(io.Discard, r)
		})
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("in", "main")},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{Cluster("c", "h:1")},
		})
		c := s.Dial(t, "in")
		say(t, c, "GET / HTTP/1.1\r\nHost: pay\r\n\r\n"+wsOffer)
		r := bufio.NewReader(c)
		expectAnswer(t, r, 200, "")
		expect(t, r, wsAccepted+"hello")
		if got := n.Dials("h:1"); got != 2 {
			t.Errorf("%d connections to the host", got)
		}
	})
}

// Hosts to which HTTP/2 is spoken get an ordinary request.
func TestUpgradeOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, p := range Protocols() {
			if p.Name() != "Http2" {
				continue
			}
			n := &Network{}
			n.Speak(t, "host:1", p, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
				if _, ok := req.Header.Lookup("upgrade"); ok || req.Body != nil || req.Upgrade != "" {
					t.Errorf("the host got %+v", req)
				}
				resp := &stream.Response{Status: 426}
				return resp, nil
			}))
			snapshot := p.Snapshot("host:1", 0)
			snapshot.Listeners[0].FilterChains[0].Filters[0].Config["downstream_protocol"] = "Http1"
			snapshot.Listeners[0].FilterChains[0].Filters[0].Config["upstream_protocol"] = p.Name()
			s := Start(t, n, snapshot)
			c := s.Dial(t, "in")
			r := bufio.NewReader(c)
			for range 2 {
				say(t, c, wsOffer)
				expectAnswer(t, r, 426, "")
			}
		}
	})
}

// A tunnel goes on while the server drains, until that has taken too long.
func TestUpgradeShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgrades(t, nil)
		c := s.Dial(t, "in")
		say(t, c, wsOffer)
		r := bufio.NewReader(c)
		expect(t, r, wsAccepted)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shut down: %v", err)
			}
		})
		time.Sleep(4 * time.Second)
		say(t, c, "still here")
		expect(t, r, "still here")
		_, _ = io.ReadAll(r)
		wg.Wait()
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
		if rec := s.Records.Last(t, 1); rec.Status != 101 || rec.Err == nil || rec.BytesIn != 10 || rec.BytesOut != 10 {
			t.Errorf("record %+v", rec)
		}
	})
}

// A tunnel that says nothing ends after the listener's idle timeout.
func TestUpgradeIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgrades(t, func(snapshot *config.Snapshot) { snapshot.Listeners[0].ConnectionIdleTimeout = 7 * time.Second })
		c := s.Dial(t, "in")
		begin := time.Now()
		say(t, c, wsOffer)
		r := bufio.NewReader(c)
		expect(t, r, wsAccepted)
		if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil || time.Since(begin) != 7*time.Second {
			t.Errorf("after %v: %q, %v", time.Since(begin), rest, err)
		}
		_ = c.Close()
		if rec := s.Records.Last(t, 1); rec.Status != 101 || stream.AsError(rec.Err).Kind != stream.Timeout {
			t.Errorf("record %+v", rec)
		}
	})
}

// WebSocket, with TLS on both sides, over TCP.
func TestUpgradeWebSocketTLS(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	hosts := httptest.NewTLSServer(websocket.Handler(func(ws *websocket.Conn) {
		for {
			var m string
			if websocket.Message.Receive(ws, &m) != nil || websocket.Message.Send(ws, m) != nil {
				return
			}
		}
	}))
	defer hosts.Close()
	snapshot := serving(config.TLS{Status: true, CertChain: chain, PrivateKey: key})
	snapshot.Routers = []config.Router{Router("r", To("/", "c"))}
	snapshot.Clusters = []config.Cluster{Cluster("c", hosts.Listener.Addr().String())}
	snapshot.Clusters[0].TLSContext = &config.TLS{Status: true, InsecureSkip: true}
	s := Start(t, nil, snapshot)
	cfg, err := websocket.NewConfig("wss://"+addr(t, s, "web")+"/chat", "https://pay.example/")
	must(t, err)
	cfg.TlsConfig = trusting(t, ca)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ws, err := cfg.DialContext(ctx)
	must(t, err)
	defer func() { _ = ws.Close() }()
	_ = ws.SetDeadline(time.Now().Add(2 * time.Minute))
	var in, out int64
	for i := range 1000 {
		sent := strings.Repeat(fmt.Sprint(i, ";"), 1+i%500)
		must(t, websocket.Message.Send(ws, sent))
		var got string
		if err := websocket.Message.Receive(ws, &got); err != nil || got != sent {
			t.Fatalf("got %.20q, %v, want %.20q", got, err, sent)
		}
		in, out = in+int64(len(sent)), out+int64(len(got))
	}
	must(t, ws.Close())
	rec := s.Records.Last(t, 1)
	if rec.Status != 101 || rec.BytesIn <= in || rec.BytesOut <= out {
		t.Errorf("record %+v of %d bytes", rec, in)
	}
}
