package proxytest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Rig is a core with one listener, "in", on which a protocol is spoken. What
// comes there is passed on to the host at "host:1" in the same protocol.
type Rig struct {
	*Server
	Protocol Protocol
}

// Snapshot is the configuration of a Rig whose host is at address. The whole
// exchange may take as long as timeout; 0 is the default.
func (p Protocol) Snapshot(address string, timeout time.Duration) *config.Snapshot {
	in := Listener("in", "main")
	in.FilterChains[0].Filters[0].Config["downstream_protocol"] = p.Name()
	to := To("/", "c")
	to.Route.Timeout = timeout
	return &config.Snapshot{
		Listeners: []config.Listener{in},
		Routers:   []config.Router{Router("main", to)},
		Clusters:  []config.Cluster{Cluster("c", address)},
	}
}

// Start makes a Rig that runs until the end of the test. h answers at the
// host; nil: nobody is there yet.
func (p Protocol) Start(t testing.TB, timeout time.Duration, h stream.Handler) *Rig {
	t.Helper()
	n := &Network{}
	if h != nil {
		n.Speak(t, "host:1", p, h)
	}
	return &Rig{Server: Start(t, n, p.Snapshot("host:1", timeout)), Protocol: p}
}

// Caller is one caller's connection to a Rig.
type Caller struct {
	protocol.Client
	// Conn is the connection below.
	Conn *Tap
}

// Caller opens a connection that is closed at the end of the test.
func (r *Rig) Caller(t testing.TB) *Caller {
	t.Helper()
	c := &Caller{Conn: &Tap{PipeConn: r.Dial(t, "in").(*conn.PipeConn)}}
	c.Client = r.Protocol.NewClient(conn.New(c.Conn), protocol.ClientOptions{})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Callers returns a caller that opens as many connections as its requests
// need, and keeps them.
func (r *Rig) Callers(t testing.TB) upstream.Sender {
	t.Helper()
	s := upstream.New(upstream.PoolOptions{
		Name:           "listener in",
		Protocol:       r.Protocol.Protocol,
		ConnectTimeout: time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			ours, theirs := conn.NewPipe("caller", "in")
			return ours, r.Inject("in", theirs)
		},
	})
	t.Cleanup(s.Close)
	return s
}

// Record returns the newest of n records, which is checked: the status, and
// the kind of failure if one is given, else that there was none.
func (r *Rig) Record(t testing.TB, n, status int, failure ...stream.Kind) telemetry.Record {
	t.Helper()
	rec := r.Records.Last(t, n)
	if rec.Listener != "in" || rec.Protocol != r.Protocol.Name() || rec.Status != status {
		t.Errorf("record %+v, want status %d", rec, status)
	}
	switch {
	case len(failure) == 0 && rec.Err != nil:
		t.Errorf("the record tells of an error: %v", rec.Err)
	case len(failure) > 0 && (rec.Err == nil || !slices.Contains(failure, stream.AsError(rec.Err).Kind)):
		t.Errorf("the record's error is %v, want one of kind %v", rec.Err, failure)
	}
	return rec
}

// Speak puts a host on the network that speaks p and has h answer, until the
// end of the test.
func (n *Network) Speak(t testing.TB, address string, p Protocol, h stream.Handler) {
	t.Helper()
	n.speak(t, address, p, func(c *conn.PipeConn) net.Conn { return c }, h)
}

// Record is Speak for one connection, which is recorded.
func (n *Network) Record(t testing.TB, address string, p Protocol, h stream.Handler) *Tap {
	t.Helper()
	tap := &Tap{}
	n.speak(t, address, p, func(c *conn.PipeConn) net.Conn {
		tap.PipeConn = c
		return tap
	}, h)
	return tap
}

func (n *Network) speak(t testing.TB, address string, p Protocol, wrap func(*conn.PipeConn) net.Conn, h stream.Handler) {
	t.Helper()
	srv, err := p.NewServer(protocol.ServerOptions{Listener: address})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	n.Host(address, func(nc net.Conn) {
		defer func() { _ = nc.Close() }()
		defer func() { _ = recover() }() // a handler's way to break the exchange off
		c := conn.New(wrap(nc.(*conn.PipeConn)))
		defer c.Free()
		_ = srv.ServeConn(context.WithValue(ctx, connKey{}, nc), c, h)
	})
	t.Cleanup(func() {
		n.Host(address, nil)
		cancel()
		n.wg.Wait()
	})
}

type connKey struct{}

// Break is for a host's handler: it ends the connection by which the request
// came, as it is.
func Break(ctx context.Context) { _ = ctx.Value(connKey{}).(net.Conn).Close() }

// ErrBroken is an error for bodies that end too early.
var ErrBroken = errors.New("broken off by the test")

// Tap is an end of a connection that remembers what was written to it.
type Tap struct {
	*conn.PipeConn
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements net.Conn.
func (c *Tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.all.Write(p)
	c.mu.Unlock()
	return c.PipeConn.Write(p)
}

// NetConn returns the connection itself.
func (c *Tap) NetConn() net.Conn { return c.PipeConn }

// Written returns what was written so far.
func (c *Tap) Written() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all.Bytes())
}

// Values returns the values of a field, with a "|" between them.
func Values(h *stream.Header, name string) string {
	return strings.Join(slices.Collect(h.Values(name)), "|")
}
