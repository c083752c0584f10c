package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/mirror"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
)

// NetworkFilter makes what answers the connections of a listener whose filter
// chain ends in it, from its configuration.
type NetworkFilter func(env filter.Env, config map[string]any) (listener.Handler, error)

// Options are what a Server is built with. Log, Protocols and Balancers are needed.
type Options struct {
	Log       *slog.Logger
	Protocols *protocol.Table
	Balancers *lb.Table
	// Choosers are the ways to choose among routes; nil is router.BuiltinChoosers.
	Choosers *router.Choosers
	// Filters holds the stream filters; nil is none.
	Filters *filter.Table
	// Network holds the network filters besides "proxy", by name.
	Network map[string]NetworkFilter
	// TLSExtensions are the ways to verify peers that a TLS context can name.
	TLSExtensions []tlscontext.Extension
	// Sinks take the record of each request, besides the listeners' access logs.
	Sinks []telemetry.Sink
	// Paths say where in the file the parts of the snapshot stand, for
	// messages; the zero value is for a file that is a snapshot.
	Paths config.Paths
	// Known is what Validate checks a snapshot with that a change at run time
	// makes; the zero value checks what it can.
	Known config.Known
	// Dial opens connections to hosts, given as "host:port"; nil is over TCP.
	// It must return when ctx ends.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// RetireTimeout is how long the connections of a listener that an Apply
	// took away may go on. 0 means 30 s.
	RetireTimeout time.Duration
}

// withDefaults fills in what may be left out.
func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Log == nil, o.Protocols == nil, o.Balancers == nil:
		return o, errors.New("proxy: Options.Log, Protocols and Balancers are needed")
	case o.Filters == nil:
		o.Filters, _ = filter.NewTable() // nothing is listed twice
	}
	if o.Choosers == nil {
		o.Choosers, _ = router.NewChoosers(router.BuiltinChoosers()...) // nothing is listed twice
	}
	if o.RetireTimeout == 0 {
		o.RetireTimeout = 30 * time.Second
	}
	o.Paths.Listeners = cmp.Or(o.Paths.Listeners, "listeners")
	o.Paths.Routers = cmp.Or(o.Paths.Routers, "routers")
	o.Paths.Clusters = cmp.Or(o.Paths.Clusters, "clusters")
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	return o, nil
}

// errStopped is what a Server answers that has been shut down.
var errStopped = errors.New("proxy: the server has been shut down")

// Server is the running core. All methods are safe for concurrent use.
type Server struct {
	opts Options
	base context.Context // the life of connections
	end  context.CancelFunc

	// copies counts the copies of requests that are sent to other clusters.
	copies mirror.Counters
	// calls counts RPC calls where a filter has them counted.
	calls filter.Calls

	// applying lets one Apply or Shutdown happen at a time.
	applying sync.Mutex

	mu        sync.Mutex
	listeners map[string]*frontend
	packets   map[string]*datagrams
	retiring  map[*frontend]struct{}
	clusters  *cluster.Manager
	snapshot  *config.Snapshot
	channels  map[*Channel]struct{}
	running   bool
	stopped   bool
	// work counts goroutines that accept or retire; none is added once stopped.
	work   sync.WaitGroup
	failed chan error
}

// New builds the snapshot and opens its sockets; Run accepts. On an error
// everything is closed again. The snapshot must have passed Validate. ctx
// bounds the opening only.
func New(ctx context.Context, opts Options, snapshot *config.Snapshot) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:      opts,
		listeners: make(map[string]*frontend),
		packets:   make(map[string]*datagrams),
		retiring:  make(map[*frontend]struct{}),
		channels:  make(map[*Channel]struct{}),
		failed:    make(chan error, 1),
	}
	s.base, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.Apply(ctx, snapshot); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// start begins accepting on f if the server runs. mu is held, and the server
// is not stopped.
func (s *Server) start(f *frontend) {
	if !s.running {
		return
	}
	s.work.Go(func() {
		if err := f.listener.Accept(); err != nil {
			s.fail(err)
		}
	})
}

// background runs f in a goroutine that ends with the server, which waits for
// it. It returns false, and runs nothing, once the server is stopped.
func (s *Server) background(f func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.work.Go(func() { f(s.base) })
	return true
}

// fail ends Run with err, the first one that there is.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Run accepts connections until ctx ends or the server is shut down (nil), or
// a socket fails for good. It leaves connections alone; Shutdown ends them. It
// may be called once.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running || s.stopped {
		err := errStopped
		if s.running {
			err = errors.New("proxy: the server is running already")
		}
		s.mu.Unlock()
		return err
	}
	s.running = true
	for _, f := range s.listeners {
		s.start(f)
	}
	for _, d := range s.packets {
		s.startDatagrams(d) //nolint:contextcheck // sessions end in order, after ctx
	}
	s.mu.Unlock()
	rctx, stop := context.WithCancel(ctx)
	var refreshing sync.WaitGroup
	refreshing.Go(func() { s.refresh(rctx) })
	defer refreshing.Wait()
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-s.base.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Drain stops the named listeners, all if none is named, from accepting, and
// waits until their connections have ended. When ctx ends first, those that
// are left are cut off, and the error says so.
func (s *Server) Drain(ctx context.Context, names ...string) error {
	s.mu.Lock()
	var fronts []*frontend
	for name, f := range s.listeners {
		if len(names) == 0 || slices.Contains(names, name) {
			fronts = append(fronts, f)
		}
	}
	if len(names) == 0 {
		fronts = slices.AppendSeq(fronts, maps.Keys(s.retiring))
	}
	s.mu.Unlock()
	for _, f := range fronts {
		f.listener.StopAccepting()
	}
	errs := make([]error, len(fronts))
	var wg sync.WaitGroup
	for i, f := range fronts {
		wg.Go(func() { errs[i] = f.listener.Drain(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Shutdown stops the server in order: no connection is accepted any more,
// requests under way finish, connections end. When ctx ends first, the rest is
// cut off and the error says what. It is safe twice.
func (s *Server) Shutdown(ctx context.Context) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.stopped = true
	channels := slices.Collect(maps.Keys(s.channels))
	s.mu.Unlock()
	for _, c := range channels {
		c.pool.Drain()
	}
	err := s.Drain(ctx)
	s.Close()
	return err
}

// Close ends everything at once, and waits for what it cut off, but not for
// long. It is safe twice.
func (s *Server) Close() {
	s.mu.Lock()
	s.stopped = true
	fronts := slices.Collect(maps.Values(s.listeners))
	channels := slices.Collect(maps.Keys(s.channels))
	clusters := s.clusters
	for _, d := range s.packets {
		d.end()
	}
	s.mu.Unlock()
	s.end()
	for _, c := range channels {
		c.Close()
	}
	for _, f := range fronts {
		f.listener.Close()
	}
	if clusters != nil {
		clusters.Close()
	}
	var closing sync.WaitGroup
	for _, f := range fronts {
		closing.Go(func() { s.closeFront(f) })
	}
	closing.Wait()
	s.work.Wait()
}

func (s *Server) closeFront(f *frontend) {
	if stuck := f.close(); stuck > 0 {
		s.opts.Log.Error("connections that were cut off do not end", "listener", f.listener.Name(), "connections", stuck)
	}
}

// ListenerStatus is what is known about one listener.
type ListenerStatus struct {
	Name string
	// Addr is where it listens; nil for one that has no socket.
	Addr net.Addr
	// Serves says in words what answers its connections: "Http1, router egress".
	Serves            string
	Connections       int
	Accepted, Refused int64
	// Closed counts the connections that have ended, by cause: all that were
	// accepted and are not open, and, as conn.Limit, those refused. A listener
	// for datagrams has none.
	Closed [conn.CauseCount]int64
}

// Listeners tells about all listeners, sorted by name.
func (s *Server) Listeners() []ListenerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ListenerStatus, 0, len(s.listeners)+len(s.packets))
	for name, f := range s.listeners {
		st := ListenerStatus{Name: name, Addr: f.listener.Addr(), Serves: f.serves(), Connections: f.listener.Connections()}
		st.Accepted, st.Refused = f.listener.Counts()
		st.Closed = f.listener.Closed()
		list = append(list, st)
	}
	for _, d := range s.packets {
		list = append(list, d.status())
	}
	slices.SortFunc(list, func(a, b ListenerStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Inject hands a connection to the listener of that name, as if it had been
// accepted there. The server owns nc in any case: it is closed if it cannot be
// served.
func (s *Server) Inject(name string, nc net.Conn) error {
	s.mu.Lock()
	f := s.listeners[name]
	known := slices.Sorted(maps.Keys(s.listeners))
	s.mu.Unlock()
	if f == nil {
		_ = nc.Close()
		return unknown("listener", name, known)
	}
	return f.listener.Inject(nc)
}
