package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// NetworkFilter makes what answers the connections of a listener whose filter
// chain ends in it, from its configuration.
type NetworkFilter func(env filter.Env, config map[string]any) (listener.Handler, error)

// Options are what a Server is built with.
type Options struct {
	Log       *slog.Logger
	Protocols *protocol.Table
	Balancers *lb.Table
	Filters   *filter.Table
	// Network holds the network filters besides "proxy", by name.
	Network map[string]NetworkFilter
	// Sinks take the record of each request, besides the listeners' access logs.
	Sinks []telemetry.Sink
	// Paths say where in the file the parts of the snapshot stand, for messages.
	Paths config.Paths
	// RetireTimeout is how long the connections of a listener that an Apply
	// took away may go on. 0 means 30 s.
	RetireTimeout time.Duration
}

// Server is the running core. All methods are safe for concurrent use.
type Server struct {
	opts Options
	base context.Context // the life of connections
	end  context.CancelFunc

	// applying lets one Apply or Shutdown happen at a time.
	applying sync.Mutex

	mu        sync.Mutex
	listeners map[string]*frontend
	clusters  *cluster.Manager
	channels  map[*Channel]struct{}
	running   bool
	stopped   bool
	accepting sync.WaitGroup
	failed    chan error
}

// New builds the snapshot and opens its sockets; Run accepts. On an error
// everything is closed again. The snapshot must have passed Validate. ctx
// bounds the opening only.
func New(ctx context.Context, opts Options, snapshot *config.Snapshot) (*Server, error) {
	if opts.RetireTimeout == 0 {
		opts.RetireTimeout = 30 * time.Second
	}
	s := &Server{
		opts:      opts,
		listeners: make(map[string]*frontend),
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

// Apply puts a new snapshot in the place of the current one, whole or not at
// all: requests under way finish under the rules they began with, those that
// begin after it, also on connections that are open already, follow the new
// ones. Listeners that did not move keep their socket.
func (s *Server) Apply(ctx context.Context, snapshot *config.Snapshot) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	before, stopped := s.clusters, s.stopped
	current := maps.Clone(s.listeners)
	s.mu.Unlock()
	if stopped {
		return errors.New("proxy: the server has been shut down")
	}

	clusters, err := cluster.NewManager(snapshot.Clusters, cluster.Tables{Balancers: s.opts.Balancers, Protocols: s.opts.Protocols},
		before, s.opts.Paths.Clusters)
	if err != nil {
		return err
	}
	plan, err := s.plan(ctx, snapshot, clusters, current)
	if err != nil {
		clusters.Retire(before)
		return err
	}
	// From here on nothing fails.
	s.mu.Lock()
	for _, p := range plan.updated {
		p.front.swap(p.stack)
	}
	for name, f := range plan.added {
		s.listeners[name] = f
		s.start(f)
	}
	for name := range plan.removed {
		delete(s.listeners, name)
	}
	s.clusters = clusters
	s.mu.Unlock()
	if before != nil {
		before.Retire(clusters)
	}
	for _, f := range plan.removed {
		go f.retire(s.base, s.opts.RetireTimeout)
	}
	return nil
}

// plan is what an Apply will do, all of it made and opened already.
type plan struct {
	added   map[string]*frontend
	removed map[string]*frontend
	updated []update
}

type update struct {
	front *frontend
	stack *stack
}

func (s *Server) plan(ctx context.Context, snapshot *config.Snapshot, clusters *cluster.Manager, current map[string]*frontend) (_ *plan, err error) {
	p := &plan{added: make(map[string]*frontend), removed: current}
	defer func() {
		if err == nil {
			return
		}
		for _, f := range p.added {
			f.close()
		}
		for _, u := range p.updated {
			u.stack.close()
		}
	}()
	var problems decode.Problems
	for i, cfg := range snapshot.Listeners {
		path := decode.At(s.opts.Paths.Listeners, i)
		st, err := s.build(snapshot, cfg, clusters, path)
		if err != nil {
			problems = append(problems, decode.AsProblems(err, path)...)
			continue
		}
		old := current[cfg.Name]
		if old != nil && sameSocket(old.cfg, cfg) {
			p.updated = append(p.updated, update{old, st})
			delete(p.removed, cfg.Name)
			continue
		}
		f := s.newFrontend(cfg, st, path)
		p.added[cfg.Name] = f
		if err := f.listener.Bind(ctx); err != nil {
			problems = append(problems, decode.Problem{Path: path + ".address", Message: err.Error()})
		}
	}
	return p, problems.Err()
}

// sameSocket reports whether the socket of one listener can serve the other.
func sameSocket(a, b config.Listener) bool {
	return a.Address == b.Address && a.Network == b.Network && a.BindPort == b.BindPort &&
		a.MaxConnections == b.MaxConnections && reflect.DeepEqual(a.FilterChains, b.FilterChains)
}

// start begins accepting on f if the server runs. mu is held.
func (s *Server) start(f *frontend) {
	if !s.running {
		return
	}
	s.accepting.Go(func() {
		if err := f.listener.Accept(); err != nil {
			select {
			case s.failed <- err:
			default:
			}
		}
	})
}

// Run accepts connections until ctx ends (nil) or a socket fails for good. It
// leaves connections alone; Shutdown ends them.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	for _, f := range s.listeners {
		s.start(f)
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
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

// Close ends everything at once. It is safe twice.
func (s *Server) Close() {
	s.end()
	s.mu.Lock()
	s.stopped = true
	fronts := slices.Collect(maps.Values(s.listeners))
	channels := slices.Collect(maps.Keys(s.channels))
	clusters := s.clusters
	s.mu.Unlock()
	for _, c := range channels {
		c.Close()
	}
	for _, f := range fronts {
		f.close()
	}
	if clusters != nil {
		clusters.Close()
	}
	s.accepting.Wait()
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
}

// Listeners tells about all listeners, sorted by name.
func (s *Server) Listeners() []ListenerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ListenerStatus, 0, len(s.listeners))
	for _, name := range slices.Sorted(maps.Keys(s.listeners)) {
		f := s.listeners[name]
		st := ListenerStatus{Name: name, Addr: f.listener.Addr(), Serves: f.serves(), Connections: f.listener.Connections()}
		st.Accepted, st.Refused = f.listener.Counts()
		list = append(list, st)
	}
	return list
}

// inject hands a connection to the listener of that name.
func (s *Server) inject(name string, nc net.Conn) error {
	s.mu.Lock()
	f := s.listeners[name]
	s.mu.Unlock()
	if f == nil {
		_ = nc.Close()
		return fmt.Errorf("there is no listener %q", name)
	}
	return f.listener.Inject(nc)
}
