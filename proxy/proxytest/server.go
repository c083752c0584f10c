package proxytest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/logtest"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// Server is a running core with what a test wants to look at.
type Server struct {
	*proxy.Server
	Records *Records
	Log     *logtest.Log
	Network *Network

	known config.Known
}

// Option changes how a Server is made.
type Option func(*options)

type options struct {
	proxy.Options
	filters []filter.Spec
}

// WithFilters adds stream filters that the snapshot may ask for.
func WithFilters(specs ...filter.Spec) Option {
	return func(o *options) { o.filters = append(o.filters, specs...) }
}

// With changes the core's options as it likes.
func With(change func(*proxy.Options)) Option {
	return func(o *options) { change(&o.Options) }
}

// prepare returns the options of a core with the built-in balancers and HTTP/1,
// whose hosts are on network (nil: on the machine's network), and which logs and
// records to where the Server it returns says. That has no core yet.
func prepare(t testing.TB, network *Network, opts []Option) (*Server, proxy.Options) {
	t.Helper()
	s := &Server{Records: &Records{}, Log: &logtest.Log{}, Network: network}
	protocols, err := protocol.NewTable(http1.Protocol{}, http2.Protocol{})
	must(t, err)
	balancers, err := lb.NewTable(lb.Builtin()...)
	must(t, err)
	o := options{Options: proxy.Options{
		Log:       slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Protocols: protocols,
		Balancers: balancers,
		Sinks:     []telemetry.Sink{s.Records},
	}}
	if network != nil {
		o.Dial = network.Dial
	}
	for _, opt := range opts {
		opt(&o)
	}
	o.Filters, err = filter.NewTable(o.filters...)
	must(t, err)
	s.known = config.Known{
		Protocols:       o.Protocols.Names(),
		ProtocolAliases: o.Protocols.Aliases(),
		RPC:             o.Protocols.Framed(),
		NetworkFilters:  append(slices.Collect(maps.Keys(o.Network)), proxy.ProxyFilter, proxy.TCPFilter, proxy.UDPFilter),
		StreamFilters:   o.Filters.Names(),
		Balancers:       o.Balancers.Names(),
	}
	return s, o.Options
}

// Start makes a core from a snapshot and runs it until the end of the test,
// which shuts it down in order. Hosts are on network, or, if that is nil, on
// the machine's own, where connecting to them may take half a minute.
func Start(t testing.TB, network *Network, snapshot *config.Snapshot, opts ...Option) *Server {
	t.Helper()
	s, o := prepare(t, network, opts)
	s.validate(t, snapshot)
	s.patient(snapshot)
	var err error
	s.Server, err = proxy.New(t.Context(), o, snapshot)
	must(t, err)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		// A test may be over before Run has begun.
		if err := <-ran; err != nil && !strings.Contains(err.Error(), "has been shut down") {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// New makes a core that nobody runs or ends; it returns the error of proxy.New.
// The snapshot is not validated.
func New(t testing.TB, network *Network, snapshot *config.Snapshot, opts ...Option) (*Server, error) {
	t.Helper()
	s, o := prepare(t, network, opts)
	var err error
	s.Server, err = proxy.New(t.Context(), o, snapshot)
	return s, err
}

func (s *Server) validate(t testing.TB, snapshot *config.Snapshot) {
	t.Helper()
	_, problems := snapshot.Validate(s.known)
	must(t, problems.Err())
}

// MustApply applies a snapshot, which must be valid.
func (s *Server) MustApply(t testing.TB, snapshot *config.Snapshot) {
	t.Helper()
	s.validate(t, snapshot)
	s.patient(snapshot)
	must(t, s.Apply(t.Context(), snapshot))
}

// patient gives the clusters that do not say how long connecting may take more
// time than the default, where hosts are on the machine's own network: a busy
// machine may let a program wait for longer than that.
func (s *Server) patient(snapshot *config.Snapshot) {
	if s.Network != nil {
		return
	}
	for i := range snapshot.Clusters {
		if c := &snapshot.Clusters[i]; c.ConnectTimeout == 0 {
			c.ConnectTimeout = patience / 2
		}
	}
}

// Status returns what is known about a listener.
func (s *Server) Status(t testing.TB, listener string) proxy.ListenerStatus {
	t.Helper()
	for _, l := range s.Listeners() {
		if l.Name == listener {
			return l
		}
	}
	t.Fatalf("there is no listener %q", listener)
	return proxy.ListenerStatus{}
}

// Addr returns where a listener's socket listens.
func (s *Server) Addr(t testing.TB, listener string) string {
	t.Helper()
	return s.Status(t, listener).Addr.String()
}

// Dial opens a connection to a listener, in memory. It is closed at the end of
// the test, before the Server is.
func (s *Server) Dial(t testing.TB, listener string) net.Conn {
	t.Helper()
	ours, theirs := conn.NewPipe("client", listener)
	t.Cleanup(func() { _ = ours.Close() })
	must(t, s.Inject(listener, theirs))
	return ours
}

// Client returns an HTTP client whose requests all go to a listener, in
// memory, whatever their host.
func (s *Server) Client(t testing.TB, listener string) *http.Client {
	t.Helper()
	return client(t, func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := conn.NewPipe("client", listener)
		if err := s.Inject(listener, theirs); err != nil {
			_ = ours.Close()
			return nil, err
		}
		return ours, nil
	})
}

// Client returns an HTTP client whose requests all go to a TCP address,
// whatever their host.
func Client(t testing.TB, address string) *http.Client {
	t.Helper()
	return client(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	})
}

func client(t testing.TB, dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	transport := &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Minute}
}

// Raw sends bytes on a new connection to a listener and returns all that comes
// back until the listener ends the connection.
func (s *Server) Raw(t testing.TB, listener, request string) string {
	t.Helper()
	c := s.Dial(t, listener)
	_, err := io.WriteString(c, request)
	must(t, err)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	b, err := io.ReadAll(c)
	must(t, err)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
