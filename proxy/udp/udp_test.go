package udp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
	"github.com/ottavo-runtime/ottavo/proxy/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon, on a busy machine.
const patience = time.Minute

// toCluster is the shortest configuration, but for sessions that outlive a busy machine's pauses.
var toCluster = config.UDPProxy{L4Proxy: config.L4Proxy{Cluster: "c", IdleTimeout: time.Minute}}

// dialOf connects to the first of the addresses that was not tried.
func dialOf(addresses ...string) l4.Dial {
	return func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		at := addresses[0]
		for _, other := range addresses {
			if !slices.Contains(a.Tried, other) {
				at = other
				break
			}
		}
		var d net.Dialer
		nc, err := d.DialContext(ctx, a.Network, at)
		return l4.Upstream{Conn: nc, Host: at}, err
	}
}

// server is a socket with a Proxy behind it.
type server struct {
	t       testing.TB
	proxy   *udp.Proxy
	addr    string
	records chan l4.Record
	stop    context.CancelFunc
	served  chan error
}

func start(t testing.TB, address string, cfg config.UDPProxy, dial l4.Dial) *server {
	t.Helper()
	s := &server{t: t, records: make(chan l4.Record, 20_000), served: make(chan error, 1)}
	p, err := udp.New(cfg, udp.Deps{Listener: "l", Path: "config", Dial: dial, Record: func(r l4.Record) { s.records <- r }})
	if err != nil {
		t.Fatal(err)
	}
	s.proxy = p
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	pc, err := udp.Listen(ctx, address, false)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = pc.LocalAddr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.served <- p.Serve(ctx, pc)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if n := p.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
	return s
}

// end stops the Proxy and waits until it has ended.
func (s *server) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.served; err != nil {
		s.t.Error(err)
	}
}

func (s *server) dial() net.Conn { return dialUDP(s.t, s.addr) }

func dialUDP(t testing.TB, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func (s *server) record() l4.Record {
	s.t.Helper()
	select {
	case r := <-s.records:
		return r
	case <-time.After(patience):
		s.t.Fatal("no record")
	}
	panic("unreachable")
}

// host answers each datagram with what answer makes of it; nil is nothing.
func host(t testing.TB, answer func(b []byte) []byte) string {
	t.Helper()
	pc, err := udp.Listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	return serveHost(t, pc, answer)
}

func serveHost(t testing.TB, pc net.PacketConn, answer func(b []byte) []byte) string {
	var serving sync.WaitGroup
	serving.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if out := answer(b[:n]); out != nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = pc.Close()
		serving.Wait()
	})
	return pc.LocalAddr().String()
}

func echo(b []byte) []byte { return b }

// ask sends a datagram and returns the answer.
func ask(t testing.TB, nc net.Conn, question string) string {
	t.Helper()
	b := make([]byte, 64<<10)
	if _, err := nc.Write([]byte(question)); err != nil {
		t.Fatal(err)
	}
	n, err := nc.Read(b)
	if err != nil {
		t.Fatalf("no answer to %.20q: %v", question, err)
	}
	return string(b[:n])
}

func TestNewMistakes(t *testing.T) {
	t.Parallel()
	_, err := udp.New(config.UDPProxy{}, udp.Deps{Path: "p"})
	if ps, ok := errors.AsType[decode.Problems](err); !ok || len(ps) != 2 {
		t.Errorf("%v; want two problems", err)
	}
}

// TestManyClients: each of a thousand clients gets the answers to its own questions.
func TestManyClients(t *testing.T) {
	t.Parallel()
	const clients = 1000
	s := start(t, "127.0.0.1:0", toCluster, dialOf(host(t, func(b []byte) []byte { return append([]byte("re: "), b...) })))
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = s.dial()
	}
	for round := range 3 {
		var asking sync.WaitGroup
		limit := make(chan struct{}, 20) // the socket's buffer is small
		for i, nc := range conns {
			limit <- struct{}{}
			asking.Go(func() {
				defer func() { <-limit }()
				question := fmt.Sprintf("%d from %d", round, i)
				if got := ask(t, nc, question); got != "re: "+question {
					t.Errorf("%q was answered with %q", question, got)
				}
			})
		}
		asking.Wait()
	}
	if st := s.proxy.Stats(); st.Sessions != clients || st.Opened != clients || st.Refused != 0 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	s.end()
	for range clients {
		if r := s.record(); r.End != l4.Stopped || r.Cluster != "c" || r.Sent == 0 || r.Received != r.Sent+3*4 || !r.Source.IsValid() || r.Destination.String() != s.addr {
			t.Errorf("record %+v", r)
		}
	}
}

// TestDNS asks for a name in DNS's wire format, as dig would.
func TestDNS(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", toCluster, dialOf(host(t, func(q []byte) []byte {
		end := 12 + bytes.IndexByte(q[12:], 0) + 5 // of the question; what follows are options
		a := slices.Clone(q[:end])
		a[2] |= 0x80                                   // an answer
		binary.BigEndian.PutUint16(a[6:], 1)           // with one record
		binary.BigEndian.PutUint16(a[10:], 0)          // and no options:
		a = append(a, 0xc0, 12, 0, 1, 0, 1)            // for the name asked for, A, IN,
		a = append(a, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1) // for a minute
		return a
	})))
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.addr)
	}}
	got, err := resolver.LookupNetIP(t.Context(), "ip4", "www.example.com.")
	if err != nil || len(got) != 1 || got[0].Unmap() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", toCluster, dialOf(host(t, echo)))
	nc := s.dial()
	for _, size := range []int{0, 1, 512, 1472, 1473, 9000, 65507, 0, 3} {
		want := strings.Repeat("x", size)
		if got := ask(t, nc, want); got != want {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
	}
	if st := s.proxy.Stats(); st.Opened != 1 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	cfg := config.UDPProxy{L4Proxy: config.L4Proxy{Routes: []config.L4Route{
		{Cluster: "two", DestinationAddrs: []config.CIDRRange{{Address: "127.0.0.2"}}},
		{Cluster: "one", DestinationAddrs: []config.CIDRRange{{Address: "127.0.0.1"}}},
	}}}
	one, two := host(t, func([]byte) []byte { return []byte("one") }), host(t, func([]byte) []byte { return []byte("two") })
	s := start(t, "0.0.0.0:0", cfg, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		return dialOf(map[string]string{"one": one, "two": two}[a.Cluster])(ctx, a)
	})
	_, port, _ := net.SplitHostPort(s.addr)
	// The answers come from the addresses that were asked, or a connected
	// socket would not take them.
	for _, c := range []struct{ address, want string }{{"127.0.0.1", "one"}, {"127.0.0.2", "two"}} {
		if got := ask(t, dialUDP(t, net.JoinHostPort(c.address, port)), "?"); got != c.want {
			t.Errorf("%s: %q", c.address, got)
		}
	}
	if _, err := dialUDP(t, net.JoinHostPort("127.0.0.3", port)).Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	until(t, "the refusal is counted", func() bool { return s.proxy.Stats().Refused == 1 })
}

// TestBothFamilies: one socket for IPv4 and IPv6 answers from the address that was asked.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	if pc, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		_ = pc.Close()
	}
	s := start(t, ":0", toCluster, dialOf(host(t, echo)))
	_, port, _ := net.SplitHostPort(s.addr)
	for _, address := range []string{"::1", "127.0.0.1", "127.0.0.2"} {
		if got := ask(t, dialUDP(t, net.JoinHostPort(address, port)), "ping"); got != "ping" {
			t.Errorf("%s: %q", address, got)
		}
	}
	s.end()
	var destinations []string
	for range 3 {
		destinations = append(destinations, s.record().Destination.Addr().String())
	}
	if slices.Sort(destinations); !slices.Equal(destinations, []string{"127.0.0.1", "127.0.0.2", "::1"}) {
		t.Errorf("destinations %v", destinations)
	}
}

// until waits until something is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestFlood: when the limit is reached, new clients are turned away, and those
// that were there are served.
func TestFlood(t *testing.T) {
	t.Parallel()
	cfg := toCluster
	cfg.MaxSessions = 5
	s := start(t, "127.0.0.1:0", cfg, dialOf(host(t, echo)))
	var first []net.Conn
	for range 5 {
		nc := s.dial()
		ask(t, nc, "hello")
		first = append(first, nc)
	}
	for i := range 200 {
		_, _ = s.dial().Write(nil)
		if i%10 == 0 {
			if got := ask(t, first[i%5], "still there?"); got != "still there?" {
				t.Errorf("%q", got)
			}
		}
	}
	until(t, "200 datagrams are refused", func() bool { return s.proxy.Stats().Refused == 200 })
	if st := s.proxy.Stats(); st.Sessions != 5 || st.Opened != 5 {
		t.Errorf("%+v", st)
	}
}

// TestHostRefuses: a host that is not there (ICMP says so) is left for another
// one, which gets the client's next datagrams.
func TestHostRefuses(t *testing.T) {
	t.Parallel()
	dead, alive := testserver.Addr(t), host(t, echo)
	var done atomic.Int32
	dial := dialOf(dead, alive)
	s := start(t, "127.0.0.1:0", toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		up, err := dial(ctx, a)
		up.Done = func(err error) {
			if err != nil {
				done.Add(1)
			}
		}
		return up, err
	})
	nc := s.dial()
	b := make([]byte, 10)
	for range 100 {
		_, _ = nc.Write([]byte("ping"))
		_ = nc.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := nc.Read(b); err == nil {
			if string(b[:n]) != "ping" {
				t.Errorf("%q", b[:n])
			}
			break
		}
	}
	s.end()
	if r := s.record(); r.Host != alive || r.Received == 0 || done.Load() != 1 {
		t.Errorf("record %+v, %d refusals were reported", r, done.Load())
	}
}

func TestAllHostsRefuse(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", toCluster, dialOf(testserver.Addr(t), testserver.Addr(t), testserver.Addr(t)))
	nc := s.dial()
	var r l4.Record
	until(t, "the session ends", func() bool {
		_, _ = nc.Write([]byte("ping"))
		select {
		case r = <-s.records:
			return true
		default:
			return false
		}
	})
	if r.End != l4.HostBroke || r.Attempts != 3 || stream.AsError(r.Err).Kind != stream.Connect {
		t.Errorf("record %+v", r)
	}
}

func TestNotConnected(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", toCluster, func(_ context.Context, a l4.Attempt) (l4.Upstream, error) {
		return l4.Upstream{}, stream.Errorf(stream.NoCluster, stream.Local, "there is no cluster %q", a.Cluster)
	})
	_, _ = s.dial().Write([]byte("ping"))
	if r := s.record(); r.End != l4.NotConnected || stream.AsError(r.Err).Kind != stream.NoCluster || r.Attempts != 1 {
		t.Errorf("record %+v", r)
	}
}

// TestStuckDial: while one client's host takes long to be connected, others
// are served, and that client's first datagrams wait, a few of them.
func TestStuckDial(t *testing.T) {
	t.Parallel()
	alive := host(t, echo)
	goOn := make(chan struct{})
	var whose atomic.Value // of netip.AddrPort
	s := start(t, "127.0.0.1:0", toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		if whose.Load() == a.Source {
			select {
			case <-goOn:
			case <-ctx.Done():
				return l4.Upstream{}, ctx.Err()
			}
		}
		return dialOf(alive)(ctx, a)
	})
	stuck := s.dial()
	whose.Store(l4.AddrPort(stuck.LocalAddr()))
	for i := range 20 {
		_, _ = fmt.Fprintf(stuck, "%d", i)
	}
	other := s.dial()
	for range 10 {
		ask(t, other, "ping")
	}
	until(t, "what is too much is dropped", func() bool { return s.proxy.Stats().Dropped == 4 })
	close(goOn)
	b := make([]byte, 10)
	for i := range 16 {
		n, err := stuck.Read(b)
		if err != nil || string(b[:n]) != fmt.Sprint(i) {
			t.Fatalf("%q, %v; want %d", b[:n], err, i)
		}
	}
}

// panicky is a connection with a defect.
type panicky struct{ net.Conn }

func (panicky) Read([]byte) (int, error) { panic("a defect") }

func TestPanic(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	dial := dialOf(host(t, echo))
	s := start(t, "127.0.0.1:0", toCluster, func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		up, err := dial(ctx, a)
		if calls.Add(1) == 1 {
			up.Conn = panicky{up.Conn}
		}
		return up, err
	})
	_, _ = s.dial().Write([]byte("x"))
	if r := s.record(); r.End != l4.Unknown || stream.AsError(r.Err).Kind != stream.Internal {
		t.Errorf("record %+v", r)
	}
	ask(t, s.dial(), "still there?")
}

func TestSocketFails(t *testing.T) {
	t.Parallel()
	p, err := udp.New(toCluster, udp.Deps{Listener: "l", Dial: dialOf(testserver.Addr(t))})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := udp.Listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
	if err := p.Serve(t.Context(), pc); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), `listener "l"`) {
		t.Errorf("%v", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	first, err := udp.Listen(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Skip("no reuseport here:", err)
	}
	defer func() { _ = first.Close() }()
	at := first.LocalAddr().String()
	second, err := udp.Listen(t.Context(), at, true)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	if _, err := udp.Listen(t.Context(), at, false); err == nil || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), "reuseport") {
		t.Errorf("%v", err)
	}
	if _, err := udp.Listen(t.Context(), "no port", false); err == nil || !strings.Contains(err.Error(), `"no port"`) {
		t.Errorf("%v", err)
	}
}

// TestReusePort: two sockets on one address share its clients, and one Proxy's limit.
func TestReusePort(t *testing.T) {
	t.Parallel()
	p, err := udp.New(toCluster, udp.Deps{Dial: dialOf(host(t, echo))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	at := "127.0.0.1:0"
	for range 2 {
		pc, err := udp.Listen(ctx, at, true)
		if err != nil {
			t.Skip("no reuseport here:", err)
		}
		at = pc.LocalAddr().String()
		serving.Go(func() {
			if err := p.Serve(ctx, pc); err != nil {
				t.Error(err)
			}
		})
	}
	for range 20 {
		ask(t, dialUDP(t, at), "ping")
	}
	if st := p.Stats(); st.Sessions != 20 {
		t.Errorf("%+v", st)
	}
}
