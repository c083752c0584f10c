package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// whyClosed names a listener's causes with their counts, and checks that every
// connection that has ended is counted once.
func whyClosed(t testing.TB, st proxy.ListenerStatus) string {
	t.Helper()
	var named []string
	sum := int64(0)
	for cause, n := range st.Closed {
		if sum += n; n > 0 {
			named = append(named, fmt.Sprintf("%s %d", conn.Cause(cause), n))
		}
	}
	if sum != st.Accepted-int64(st.Connections)+st.Refused {
		t.Errorf("%d causes: %+v", sum, st)
	}
	return strings.Join(named, ", ")
}

type panicking struct{}

func (panicking) ServeConn(context.Context, *conn.Conn) error { panic("on purpose") }

// closeRequest asks for the end of the connection, keepRequest does not.
const (
	keepRequest  = "GET / HTTP/1.1\r\nHost: pay\r\n\r\n"
	closeRequest = "GET / HTTP/1.1\r\nHost: pay\r\nConnection: close\r\n\r\n"
	longRequest  = "GET /long HTTP/1.1\r\nHost: pay\r\n\r\n"
	cutRequest   = "GET /cut HTTP/1.1\r\nHost: pay\r\n\r\n"
	slowRequest  = "GET /slow HTTP/1.1\r\nHost: pay\r\n\r\n"
	h2Begin      = xhttp2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
)

// Why connections end, each counted once.
func TestCloseCauses(t *testing.T) {
	wait := func(d time.Duration) func(*Server, net.Conn) { return func(*Server, net.Conn) { time.Sleep(d) } }
	hangUp := func(_ *Server, c net.Conn) { _ = c.Close() }
	for _, c := range []struct {
		name     string
		protocol string // Auto, where it does not say
		say      string
		read     bool // the caller reads what comes
		then     func(s *Server, c net.Conn)
		want     string
	}{
		{"the caller goes", "", keepRequest, true, hangUp, "remote_close 1"},
		{"the caller goes without a word", "", "", true, hangUp, "remote_close 1"},
		{"the caller goes in a request", "", slowRequest, true, func(_ *Server, c net.Conn) { time.Sleep(time.Second); _ = c.Close() }, "remote_close 1"},
		{"the caller ends its direction", "", keepRequest, true, func(_ *Server, c net.Conn) { _ = c.(*conn.PipeConn).CloseWrite() }, "remote_close 1"},
		{"the caller is done", "", closeRequest, true, wait(time.Second), "local_close 1"},
		{"the caller is done, and goes", "", closeRequest, true, hangUp, "local_close 1"},
		{"idle", "", keepRequest, true, wait(2 * time.Minute), "idle_timeout 1"},
		{"idle from the beginning", "Http1", "", true, wait(2 * time.Minute), "idle_timeout 1"},
		{"half a head", "", "GET / HTTP/1.1\r\nHo", true, wait(time.Minute), "timeout 1"},
		{"nothing is read", "", longRequest, false, wait(5 * time.Minute), "timeout 1"},
		{"no HTTP", "", "\x00\x01\x02\x03\x04", true, wait(time.Minute), "protocol_error 1"},
		{"malformed", "", "GET / HTTP/1.1\r\nHost : pay\r\n\r\n", true, wait(time.Second), "protocol_error 1"},
		{"the answer breaks off", "", cutRequest, true, wait(time.Second), "cut_off 1"},
		{"a stop in order", "", keepRequest, true, func(s *Server, _ net.Conn) { _ = s.Drain(context.Background()) }, "drain 1"},
		{"a stop in order, in a request", "", slowRequest, true, func(s *Server, _ net.Conn) { _ = s.Drain(context.Background()) }, "drain 1"},
		{"a stop in order, before a word", "", "", true, func(s *Server, _ net.Conn) { _ = s.Drain(context.Background()) }, "drain 1"},
		{"a stop without patience", "", slowRequest, true, func(s *Server, _ net.Conn) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.Drain(ctx)
		}, "cut_off 1"},
		{"too many", "", keepRequest, true, func(s *Server, c net.Conn) {
			for range 3 {
				_, theirs := conn.Pipe()
				_ = s.Inject("in", theirs)
			}
			_ = c.Close()
		}, "remote_close 1, limit 3"},
		{"a panic", "panicking", keepRequest, true, wait(0), "panic 1"},

		{"HTTP/2: the caller goes", "", h2Begin, true, hangUp, "remote_close 1"},
		{"HTTP/2: idle", "", h2Begin, true, wait(2 * time.Minute), "idle_timeout 1"},
		{"HTTP/2: malformed", "", h2Begin + "\x00\x00\x01\x06\x00\x00\x00\x00\x00x", true, wait(time.Minute), "protocol_error 1"},
		{"HTTP/2: half a frame", "", h2Begin + "\x00\x00", true, wait(50 * time.Second), "timeout 1"},
		{"HTTP/2: a stop in order", "", h2Begin, true, func(s *Server, _ net.Conn) { _ = s.Drain(context.Background()) }, "drain 1"},

		{"TCP: the caller goes", "tcp_proxy", keepRequest, true, hangUp, "remote_close 1"},
		{"TCP: the host goes", "tcp_proxy", closeRequest, true, func(_ *Server, c net.Conn) { time.Sleep(time.Second); _ = c.Close() }, "local_close 1"},
		{"TCP: idle", "tcp_proxy", keepRequest, true, wait(time.Hour), "idle_timeout 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{}
				n.HTTP(t, "h:1", func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/slow":
						select {
						case <-time.After(10 * time.Second):
						case <-r.Context().Done():
						}
					case "/long":
						for block := make([]byte, 64<<10); r.Context().Err() == nil; {
							if _, err := w.Write(block); err != nil {
								return
							}
						}
					case "/cut":
						w.Header().Set("Content-Length", "100")
						_, _ = io.WriteString(w, "half")
						_ = http.NewResponseController(w).Flush()
						panic(http.ErrAbortHandler)
					}
				})
				l := Listener("in", "main")
				l.ConnectionIdleTimeout, l.MaxConnections = time.Minute, 1
				filters := &l.FilterChains[0].Filters
				(*filters)[0].Config["downstream_protocol"] = "Auto"
				switch c.protocol {
				case "tcp_proxy":
					*filters = []config.Extension{{Type: "tcp_proxy", Config: map[string]any{"cluster": "c", "idle_timeout": "1m"}}}
				case "panicking":
					*filters = []config.Extension{{Type: "panicking"}}
				case "":
				default:
					(*filters)[0].Config["downstream_protocol"] = c.protocol
				}
				to := To("/", "c")
				to.Route.UpstreamProtocol, to.Route.Timeout = "Http1", time.Hour
				s := Start(t, n, &config.Snapshot{Listeners: []config.Listener{l}, Routers: []config.Router{Router("main", to)}, Clusters: []config.Cluster{Cluster("c", "h:1")}},
					With(func(o *proxy.Options) {
						o.Network = map[string]proxy.NetworkFilter{"panicking": func(filter.Env, map[string]any) (listener.Handler, error) { return panicking{}, nil }}
					}))
				nc := s.Dial(t, "in")
				_, _ = io.WriteString(nc, c.say)
				if c.read {
					go func() { _, _ = io.Copy(io.Discard, bufio.NewReader(nc)) }()
				}
				synctest.Wait()
				c.then(s, nc)
				synctest.Wait()
				if got := whyClosed(t, s.Status(t, "in")); got != c.want {
					t.Errorf("closed: %q, want %q", got, c.want)
				}
				_ = nc.Close()
			})
		})
	}
}

// What only sockets show: a caller that breaks off.
func TestCloseCausesOfSockets(t *testing.T) {
	at := host(t, func(w http.ResponseWriter, r *http.Request) {
		for block := make([]byte, 64<<10); r.URL.Path == "/long" && r.Context().Err() == nil; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	s := Start(t, nil, &config.Snapshot{
		Listeners: []config.Listener{Bound("in", "main", "127.0.0.1:0")},
		Routers:   []config.Router{Router("main", To("/", "c"))},
		Clusters:  []config.Cluster{Cluster("c", at)},
	})
	for i, c := range []struct {
		say  string
		want []string
	}{
		{keepRequest, []string{"read_error 1"}},
		// Whether the reset is met by reading or by writing is a matter of luck. The
		// system tells it only once: who writes may meet it, and who reads then is told
		// of an end, and be the first to say so.
		{longRequest, []string{"read_error 1, write_error 1", "read_error 2", "remote_close 1, read_error 1"}},
	} {
		nc, err := net.Dial("tcp", s.Addr(t, "in"))
		must(t, err)
		say(t, nc, c.say)
		_, err = io.ReadFull(nc, make([]byte, 12))
		must(t, err)
		must(t, nc.(*net.TCPConn).SetLinger(0))
		must(t, nc.Close())
		tick := time.NewTicker(time.Millisecond)
		for until := time.Now().Add(time.Minute); time.Now().Before(until); <-tick.C {
			if st := s.Status(t, "in"); st.Accepted == int64(i+1) && st.Connections == 0 {
				break
			}
		}
		tick.Stop()
		if got := whyClosed(t, s.Status(t, "in")); !slices.Contains(c.want, got) {
			t.Errorf("closed: %q, want %q", got, c.want)
		}
	}
}
