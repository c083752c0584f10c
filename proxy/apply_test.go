package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// answering returns a snapshot whose listeners answer with their router's name.
func answering(listeners ...config.Listener) *config.Snapshot {
	s := &config.Snapshot{Listeners: listeners}
	routers := map[string]bool{}
	for _, l := range listeners {
		for _, f := range l.FilterChains[0].Filters {
			if name, ok := f.Config["router_config_name"].(string); ok {
				routers[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(routers)) {
		s.Routers = append(s.Routers, Router(name, Answer("/", 200, name)))
	}
	return s
}

// ask returns what answers at a TCP address, over a new connection.
func ask(t testing.TB, address string) string {
	t.Helper()
	_, body := fetch(t, Client(t, address), request(t, "GET", "http://pay/", ""))
	return body
}

func wantClosed(t testing.TB, address string) {
	t.Helper()
	if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %v, want refused", address, err)
		if err == nil {
			_ = c.Close()
		}
	}
}

// keepAlive is an HTTP/1 connection that a test keeps.
type keepAlive struct {
	net.Conn
	c *http.Client
}

func keep(t testing.TB, address string) *keepAlive {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	must(t, err)
	k := &keepAlive{Conn: nc}
	used := false
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		if used {
			return nil, errors.New("the connection was not kept")
		}
		used = true
		return nc, nil
	}}
	k.c = &http.Client{Transport: tr, Timeout: time.Minute}
	t.Cleanup(tr.CloseIdleConnections)
	return k
}

func (k *keepAlive) ask(t testing.TB) string {
	t.Helper()
	_, body := fetch(t, k.c, request(t, "GET", "http://pay/", ""))
	return body
}

func TestApplyMovesListeners(t *testing.T) {
	one, two, three := testserver.Addr(t), testserver.Addr(t), testserver.Addr(t)
	s := Start(t, nil, answering(Bound("a", "ra", one), Bound("b", "rb", two)))
	if got := ask(t, one) + ask(t, two); got != "rarb" {
		t.Fatal(got)
	}

	open := keep(t, one)
	open.ask(t)
	for _, step := range []struct {
		name     string
		snapshot *config.Snapshot
		want     map[string]string // address to router
		names    string
	}{
		{"other routers", answering(Bound("a", "ra2", one), Bound("b", "rb2", two)), map[string]string{one: "ra2", two: "rb2"}, "a b"},
		{"swap", answering(Bound("a", "ra", two), Bound("b", "rb", one)), map[string]string{two: "ra", one: "rb"}, "a b"},
		{"move", answering(Bound("a", "ra", three), Bound("b", "rb", one)), map[string]string{three: "ra", one: "rb"}, "a b"},
		{"chain", answering(Bound("a", "ra", one), Bound("b", "rb", two)), map[string]string{one: "ra", two: "rb"}, "a b"},
		{"rename", answering(Bound("x", "rx", one), Bound("b", "rb", two)), map[string]string{one: "rx", two: "rb"}, "b x"},
		{"remove and add", answering(Bound("y", "ry", three), Bound("b", "rb", two)), map[string]string{three: "ry", two: "rb"}, "b y"},
		{"none", answering(), map[string]string{}, ""},
		{"back", answering(Bound("a", "ra", one)), map[string]string{one: "ra"}, "a"},
	} {
		s.MustApply(t, step.snapshot)
		for _, address := range []string{one, two, three} {
			if want, ok := step.want[address]; !ok {
				wantClosed(t, address)
			} else if got := ask(t, address); got != want {
				t.Errorf("%s: %s answers %q, want %q", step.name, address, got, want)
			}
		}
		var names []string
		for _, l := range s.Listeners() {
			names = append(names, l.Name)
			if l.Addr == nil {
				t.Errorf("%s: %s has no socket", step.name, l.Name)
			}
		}
		if got := strings.Join(names, " "); got != step.names {
			t.Errorf("%s: listeners %q, want %q", step.name, got, step.names)
		}
		if step.name == "other routers" {
			if got := open.ask(t); got != "ra2" {
				t.Errorf("an open connection follows %q, want the new rules", got)
			}
		}
	}
	// The connection whose listener moved away has ended in order.
	if n, err := open.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("the old connection: %d, %v", n, err)
	}
}

// A listener that keeps its name and its chosen port, but not its kind.
func TestApplyChangesTheNetworkFilter(t *testing.T) {
	s := Start(t, nil, answering(Bound("a", "ra", "127.0.0.1:0")), With(func(o *proxy.Options) {
		o.Network = map[string]proxy.NetworkFilter{"shout": func(filter.Env, map[string]any) (listener.Handler, error) { return shout{}, nil }}
	}))
	address := s.Addr(t, "a")
	open := keep(t, address)
	open.ask(t)
	shouting := Bound("a", "", "127.0.0.1:0")
	shouting.FilterChains[0].Filters[0] = config.Extension{Type: "shout"}
	s.MustApply(t, answering(shouting))
	c, err := net.Dial("tcp", address)
	must(t, err)
	if b, err := io.ReadAll(c); string(b) != "SHOUT" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	_ = c.Close()
	if st := s.Status(t, "a"); st.Serves != "shout" || st.Addr.String() != address {
		t.Errorf("%+v", st)
	}
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection of the other kind: %v, want its end", err)
	}
	s.MustApply(t, answering(Bound("a", "ra", "127.0.0.1:0")))
	if got := ask(t, address); got != "ra" {
		t.Error(got)
	}
}

type shout struct{}

func (shout) ServeConn(_ context.Context, c *conn.Conn) error {
	_, err := io.WriteString(c, "SHOUT")
	return err
}

// A limit that changes does not cost the socket or a connection.
func TestApplyChangesLimits(t *testing.T) {
	l := Bound("a", "ra", "127.0.0.1:0")
	s := Start(t, nil, answering(l))
	address := s.Addr(t, "a")
	open := keep(t, address)
	open.ask(t)
	l.MaxConnections = 1
	s.MustApply(t, answering(l))
	if got := open.ask(t); got != "ra" {
		t.Error(got)
	}
	c, err := net.Dial("tcp", address)
	must(t, err)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a second connection was served")
	}
	_ = c.Close()
	if st := s.Status(t, "a"); st.Refused != 1 || st.Connections != 1 {
		t.Errorf("%+v", st)
	}
}

// A port that an outgoing connection has is not waited for while the server runs:
// its end, and every other change of it, would have to wait, too.
func TestApplyDoesNotWaitForPorts(t *testing.T) {
	one := testserver.Addr(t)
	s := Start(t, &Network{}, answering(Bound("a", "ra", one)))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: testserver.Port(t)}}
	c, err := d.DialContext(t.Context(), "tcp", one)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.(*net.TCPConn).SetLinger(0))                          // or the port would be held for a minute more
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second) // less than is waited at the start
	defer cancel()
	err = s.Apply(ctx, answering(Bound("a", "ra", one), Bound("b", "rb", c.LocalAddr().String())))
	if err == nil || !strings.Contains(err.Error(), "address already in use") || ctx.Err() != nil {
		t.Errorf("error %v, context: %v", err, ctx.Err())
	}
}

// An Apply that fails changes nothing: old sockets and rules stay, and nothing
// new is open.
func TestApplyThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	one, two, free := testserver.Addr(t), testserver.Addr(t), testserver.Addr(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	n := &Network{}
	n.HTTP(t, "h:1", Echo("h"))
	good := answering(Bound("a", "ra", one), Bound("b", "rb", two))
	good.Routers[1].VirtualHosts[0].Routes = []config.Route{To("/", "c")}
	good.Clusters = []config.Cluster{Cluster("c", "h:1")}
	s := Start(t, n, good)
	open := keep(t, one)
	records := 0
	// answers asks over the open connection and over new ones, one after the other.
	answers := func() (all []string) {
		for _, ask := range []func() string{func() string { return open.ask(t) }, func() string { return ask(t, one) }, func() string { return ask(t, two) }} {
			all = append(all, ask())
			records++
			s.Records.Wait(t, records)
		}
		return all
	}
	answers()

	withLog := func(l config.Listener, path string) config.Listener {
		l.AccessLogs = []config.AccessLog{{Path: filepath.Join(dir, "ok.log")}, {Path: path}}
		return l
	}
	badChain := Bound("d", "ra", free)
	badChain.FilterChains[0].Filters = nil
	for _, c := range []struct {
		name     string
		snapshot *config.Snapshot
		want     []string
	}{
		{"port taken", answering(Bound("a", "new", one), Bound("b", "new", free), Bound("c", "new", taken.Addr().String())), []string{
			`listeners[2].address: listener "c" cannot listen on ` + taken.Addr().String() + `: address already in use (stop the process that has it, or choose another address)`,
		}},
		{"all problems at once", answering(Bound("a", "new", one), badChain, withLog(Bound("e", "new", free), filepath.Join(dir, "none", "x.log")),
			Bound("c", "new", taken.Addr().String())), []string{
			"listeners[1].filter_chains: exactly one chain",
			"listeners[2].access_logs[1].log_path: access log: open " + filepath.Join(dir, "none", "x.log") + ": no such file or directory (choose a folder",
			"listeners[3].address: ",
		}},
		{"no router", &config.Snapshot{Listeners: []config.Listener{Bound("a", "mian", one), Bound("b", "r", free)}, Routers: []config.Router{Router("main")}}, []string{
			`listeners[0].filter_chains[0].filters[0].config.router_config_name: there is no router "mian" (did you mean "main"?)`,
		}},
		{"bad route", &config.Snapshot{Listeners: []config.Listener{Bound("b", "main", free)}, Routers: []config.Router{Router("other"), Router("main", config.Route{})}}, []string{
			"routers[1].virtual_hosts[0].routers[0]: ", "does not say what happens with a request",
		}},
		{"bad balancer", &config.Snapshot{Listeners: []config.Listener{Bound("b", "r", free)}, Clusters: []config.Cluster{{Name: "c", LBType: "NONE"}}}, []string{
			"clusters[0].lb_type: ",
		}},
		{"same name", answering(Bound("a", "r", one), Bound("a", "r", free)), []string{`listeners[1].name: the name "a" is taken (names are unique)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.Apply(t.Context(), c.snapshot)
			if _, ok := errors.AsType[decode.Problems](err); !ok {
				t.Fatalf("error is a %T: %v", err, err)
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) && c.name != "no router" && c.name != "bad route" && c.name != "bad balancer" {
				t.Errorf("%d lines:\n%v", lines, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if got := answers(); !slices.Equal(got, []string{"ra", "ra", "h: GET / "}) {
				t.Errorf("answered %q", got)
			}
			wantClosed(t, free)
			if got := len(s.Listeners()); got != 2 {
				t.Errorf("%d listeners", got)
			}
		})
	}
	if n.Dials("h:1") != 1 {
		t.Errorf("%d dials: an Apply that fails costs a connection", n.Dials("h:1"))
	}
}

// The first configuration, too, is opened whole or not at all.
func TestNewThatFailsOpensNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	free := testserver.Addr(t)
	snapshot := answering(Bound("a", "ra", free), Bound("b", "rb", taken.Addr().String()))
	snapshot.Clusters = []config.Cluster{Cluster("c", "h:1")}
	paths := config.Paths{Listeners: "servers[0].listeners", Made: map[string]string{"b": "runtime.listen"}}
	_, err = New(t, nil, snapshot, With(func(o *proxy.Options) { o.Paths = paths }))
	if err == nil || !strings.HasPrefix(err.Error(), `runtime.listen: listener "b" cannot listen on `+taken.Addr().String()+": address already in use") {
		t.Errorf("%v", err)
	}
	wantClosed(t, free)
	paths.Made = nil
	_, err = New(t, nil, snapshot, With(func(o *proxy.Options) { o.Paths = paths }))
	if err == nil || !strings.HasPrefix(err.Error(), `servers[0].listeners[1].address: listener "b"`) {
		t.Errorf("%v", err)
	}
	if _, err := proxy.New(t.Context(), proxy.Options{}, snapshot); err == nil {
		t.Error("made without what is needed")
	}
}

// A request goes on under the rules it began with, and its record is written to
// the log it began with.
func TestApplyLeavesRequestsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		n := &Network{}
		n.HTTP(t, "old:1", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Minute)
			_, _ = io.WriteString(w, "old")
		})
		n.HTTP(t, "new:1", Echo("new"))
		snapshot := func(name string) *config.Snapshot {
			l := Listener("egress", "main")
			l.AccessLogs = []config.AccessLog{{Path: filepath.Join(dir, name+".log")}}
			return &config.Snapshot{
				Listeners: []config.Listener{l},
				Routers:   []config.Router{Router("main", timed(To("/", "c"), time.Hour))},
				Clusters:  []config.Cluster{Cluster("c", name+":1")},
			}
		}
		s := Start(t, n, snapshot("old"))
		c := s.Client(t, "egress")
		c.Timeout = 0
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, body := fetch(t, c, request(t, "GET", "http://pay/slow", "")); body != "old" {
				t.Errorf("answered %q", body)
			}
		})
		time.Sleep(time.Minute)
		s.MustApply(t, snapshot("new"))
		time.Sleep(time.Minute)
		if _, body := fetch(t, c, request(t, "GET", "http://pay/", "")); body != "new: GET / " {
			t.Errorf("answered %q", body)
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		for name, want := range map[string]string{"old": "path=/slow status=200", "new": "path=/ status=200"} {
			b, err := os.ReadFile(filepath.Join(dir, name+".log"))
			must(t, err)
			if strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), want) {
				t.Errorf("%s.log: %q", name, b)
			}
		}
	})
}

// Listeners without a socket: the update in place, and the end of what was removed.
func TestRemovedListenerEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "slow:1", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			_, _ = io.WriteString(w, "done")
		})
		snapshot := &config.Snapshot{
			Listeners: []config.Listener{Listener("a", "main"), Listener("b", "main")},
			Routers:   []config.Router{Router("main", To("/slow", "slow"), Answer("/", 200, "ok"))},
			Clusters:  []config.Cluster{Cluster("slow", "slow:1")},
		}
		s := Start(t, n, snapshot, With(func(o *proxy.Options) { o.RetireTimeout = time.Minute }))
		c := s.Client(t, "a")
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, body := fetch(t, c, request(t, "GET", "http://pay/slow", ""))
			if body != "done" || !resp.Close {
				t.Errorf("%q, closes %v: the last answer says that it is", body, resp.Close)
			}
		})
		idle, asking, fresh := s.Dial(t, "a"), s.Dial(t, "a"), s.Dial(t, "a")
		for _, c := range []net.Conn{idle, asking} {
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.Close {
				t.Error("the end is announced while nobody has asked for it")
			}
		}
		time.Sleep(time.Second)
		less := *snapshot
		less.Listeners = snapshot.Listeners[1:]
		begin := time.Now()
		s.MustApply(t, &less)
		// Whoever is about to ask, on a connection that was used or not, is answered.
		time.Sleep(conn.LastCall - 1)
		for _, c := range []net.Conn{asking, fresh} {
			_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			must(t, err)
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(b) != "ok" || err != nil || !resp.Close {
				t.Errorf("%q, %v, closes %v", b, err, resp.Close)
			}
			must(t, resp.Body.Close())
		}
		if _, err := io.ReadAll(idle); err != nil || time.Since(begin) != conn.LastCall {
			t.Errorf("the idle connection ended after %v: %v", time.Since(begin), err)
		}
		_, theirs := conn.Pipe()
		if err := s.Inject("a", theirs); err == nil || !strings.Contains(err.Error(), `there is no listener "a"`) {
			t.Errorf("Inject: %v", err)
		}
		wg.Wait()
	})
}

// Requests from several goroutines while the configuration changes all the
// time: none fails.
func TestApplyUnderLoad(t *testing.T) {
	a, b := host(t, Echo("a")), host(t, Echo("b"))
	one, two := testserver.Addr(t), testserver.Addr(t)
	for two == one {
		two = testserver.Addr(t)
	}
	snapshot := func(i int) *config.Snapshot {
		s := &config.Snapshot{
			Listeners: []config.Listener{Bound("one", "main", one), Bound("two", "main", two)},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{Cluster("c", a, b)},
		}
		s.Clusters[0].ConnectTimeout = 30 * time.Second // machines are busy
		switch i % 4 {
		case 1: // other hosts
			s.Clusters[0].Hosts = s.Clusters[0].Hosts[:1]
		case 2: // other route and limits
			s.Routers = []config.Router{Router("main", Answer("/none", 200, ""), To("/", "c"))}
			s.Listeners[0].MaxConnections = 1000
			s.Clusters[0].ConnectTimeout = time.Minute
		case 3: // sockets change hands
			s.Listeners[0].Name, s.Listeners[1].Name = "two", "one"
		}
		return s
	}
	s := Start(t, nil, snapshot(0))
	const callers = 6
	var asked [callers]atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range callers {
		address := one
		if i%2 == 1 {
			address = two
		}
		c := Client(t, address)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				method, body := "GET", ""
				if i >= callers/2 {
					// The client may send GET again when the connection it keeps
					// ends; POST it may not: each on a connection of its own.
					method, body = "POST", "hello"
				}
				req := request(t, method, "http://pay/x", body)
				req.Close = method == "POST"
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("%s: %v", method, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if want := fmt.Sprintf(": %s /x %s", method, body); err != nil || resp.StatusCode != 200 || !strings.HasSuffix(string(got), want) {
					t.Errorf("%d %q, %v", resp.StatusCode, got, err)
					return
				}
				asked[i].Add(1)
			}
		})
	}
	// Each configuration is there for a while in which every caller has asked.
	applies := 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	// There are eight at least, however slow the machine is, and more if there is time.
	for enough := time.Now().Add(20 * time.Second); (applies < 8 || applies < 40 && time.Now().Before(enough)) && !t.Failed(); applies++ {
		var before [callers]int64
		for i := range asked {
			before[i] = asked[i].Load()
		}
		must(t, s.Apply(t.Context(), snapshot(applies)))
		for i := range asked {
			for asked[i].Load() == before[i] && !t.Failed() {
				<-tick.C
			}
		}
	}
	close(stop)
	wg.Wait()
}

// Apply against Close: whichever comes first, nothing stays open.
func TestApplyAgainstClose(t *testing.T) {
	one, two := testserver.Addr(t), testserver.Addr(t)
	for range 30 {
		s, err := New(t, nil, answering(Bound("a", "ra", one)))
		must(t, err)
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = s.Apply(t.Context(), answering(Bound("a", "ra", two), Bound("b", "rb", one)))
		})
		wg.Go(s.Close)
		wg.Wait()
		wantClosed(t, one)
		wantClosed(t, two)
		if err := s.Apply(t.Context(), answering()); err == nil || !strings.Contains(err.Error(), "shut down") {
			t.Errorf("Apply after Close: %v", err)
		}
		if err := s.Run(t.Context()); err == nil {
			t.Error("Run after Close")
		}
	}
}
