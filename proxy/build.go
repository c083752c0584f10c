package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// ProxyFilter is the name of the network filter that reads requests and routes them.
const ProxyFilter = "proxy"

// stack is what answers a listener's connections under one configuration.
type stack struct {
	// words says what it is, for people.
	words string
	// connections answers them.
	connections listener.Handler
	// requests answers the requests on them; nil where the network filter
	// does not know requests.
	requests stream.Handler
	// closers are given back when the stack is out of use.
	closers []func() error
}

func (st *stack) close() {
	for _, c := range st.closers {
		_ = c()
	}
}

// build makes the stack of one listener: the last network filter answers its
// connections.
func (s *Server) build(snapshot *config.Snapshot, cfg config.Listener, clusters *cluster.Manager, path string) (*stack, error) {
	if len(cfg.FilterChains) != 1 || len(cfg.FilterChains[0].Filters) == 0 {
		return nil, decode.Problems{{Path: path + ".filter_chains", Message: "exactly one chain with at least one network filter is needed"}}
	}
	filters := cfg.FilterChains[0].Filters
	last := len(filters) - 1
	path = decode.At(path+".filter_chains[0].filters", last)
	if last > 0 {
		return nil, decode.Problems{{Path: path, Message: "several network filters in one chain are not built yet", Remedy: "keep the one that answers the connection"}}
	}
	ext := filters[last]
	env := filter.Env{Listener: cfg.Name, Log: s.opts.Log, Path: path + ".config"}
	if ext.Type == ProxyFilter {
		return s.buildProxy(snapshot, cfg, ext, clusters, env)
	}
	network, ok := s.opts.Network[ext.Type]
	if !ok {
		known := slices.Sorted(maps.Keys(s.opts.Network))
		return nil, decode.Problems{{Path: path + ".type", Message: fmt.Sprintf("unknown network filter %q", ext.Type),
			Remedy: "known: " + strings.Join(append(known, ProxyFilter), ", ")}}
	}
	h, err := network(env, ext.Config)
	if err != nil {
		return nil, err
	}
	return &stack{words: ext.Type, connections: h}, nil
}

// buildProxy is the whole way of a request, from the wire to the wire. It
// reads from the bottom up; a request passes it from the top down.
func (s *Server) buildProxy(snapshot *config.Snapshot, cfg config.Listener, ext config.Extension, clusters *cluster.Manager, env filter.Env) (_ *stack, err error) {
	var proxy config.Proxy
	if _, err := decode.Into(&proxy, ext.Config, env.Path); err != nil {
		return nil, err // warnings were given by Validate
	}
	downstream, upstreamName, err := s.protocols(proxy, env.Path)
	if err != nil {
		return nil, err
	}
	table, err := findRouter(snapshot, proxy.RouterConfigName, env.Path)
	if err != nil {
		return nil, err
	}
	places, err := s.opts.Filters.Build(filter.Env{Listener: cfg.Name, Log: env.Log, Path: listenerPath(env.Path) + ".stream_filters"}, cfg.StreamFilters)
	if err != nil {
		return nil, err
	}
	st := &stack{words: fmt.Sprintf("%s, router %s", downstream.Name(), proxy.RouterConfigName)}
	sinks, err := s.accessLogs(cfg, st)
	if err != nil {
		return nil, err
	}
	server, err := downstream.NewServer(protocol.ServerOptions{
		Listener:    cfg.Name,
		IdleTimeout: idleTimeout(cfg),
		Log:         env.Log,
		Extend:      proxy.ExtendConfig,
		Path:        env.Path + ".extend_config",
	})
	if err != nil {
		st.close()
		return nil, err
	}

	// 5. The cluster chooses a host and sends the request there, over its
	//    connection pool (packages cluster, upstream, protocol).
	// 4. Filters that want to know the route stand between it and the cluster.
	backends := backends{clusters, places.AfterRoute}
	// 3. The route decides which cluster, and how long it may take.
	routes, err := router.New(table, backends)
	if err != nil {
		st.close()
		return nil, err
	}
	var h stream.Handler = routes
	h = speak(upstreamName, h)
	// 2. Filters that every request passes, in the order of the configuration.
	h = stream.Chain(h, places.BeforeRoute...)
	// 1. One record per request is outermost: it sees what filters answer, too.
	h = telemetry.Handler(h, sinks...)
	st.requests = h
	// 0. The protocol server turns bytes into requests. It is given the
	//    frontend, not h, so that a new configuration reaches open connections.
	st.connections = serverHandler{server}
	return st, nil
}

// speak notes the protocol to speak with hosts; a route may say otherwise.
func speak(name string, next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		req.UpstreamProtocol = name
		return next.Handle(ctx, req)
	})
}

// backends gives the router its clusters, with the filters in front of them.
type backends struct {
	clusters *cluster.Manager
	filters  []stream.Filter
}

// Cluster implements router.Backends.
func (b backends) Cluster(name string) (stream.Handler, bool) {
	c, ok := b.clusters.Cluster(name)
	if ok && len(b.filters) > 0 {
		c = stream.Chain(c, b.filters...)
	}
	return c, ok
}

func (s *Server) protocols(proxy config.Proxy, path string) (downstream protocol.Protocol, upstream string, err error) {
	unknown := func(key, name string) error {
		return decode.Problems{{Path: path + "." + key, Message: fmt.Sprintf("unknown protocol %q", name),
			Remedy: "known: " + strings.Join(s.opts.Protocols.Names(), ", ")}}
	}
	downstream, ok := s.opts.Protocols.Lookup(proxy.DownstreamProtocol)
	if !ok {
		return nil, "", unknown("downstream_protocol", proxy.DownstreamProtocol)
	}
	if proxy.UpstreamProtocol == "" {
		return downstream, downstream.Name(), nil
	}
	up, ok := s.opts.Protocols.Lookup(proxy.UpstreamProtocol)
	if !ok {
		return nil, "", unknown("upstream_protocol", proxy.UpstreamProtocol)
	}
	return downstream, up.Name(), nil
}

func findRouter(snapshot *config.Snapshot, name, path string) (config.Router, error) {
	var known []string
	for _, r := range snapshot.Routers {
		if r.Name == name {
			return r, nil
		}
		known = append(known, r.Name)
	}
	p := decode.Problem{Path: path + ".router_config_name", Message: fmt.Sprintf("there is no router %q", name),
		Remedy: "known: " + strings.Join(known, ", ")}
	if near := decode.Nearest(name, known); near != "" {
		p.Remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return config.Router{}, decode.Problems{p}
}

func (s *Server) accessLogs(cfg config.Listener, st *stack) ([]telemetry.Sink, error) {
	sinks := slices.Clone(s.opts.Sinks)
	for _, l := range cfg.AccessLogs {
		a, err := telemetry.OpenAccessLog(l.Path, func(err error) {
			s.opts.Log.Error("access log", "listener", cfg.Name, "path", l.Path, "error", err)
		})
		if err != nil {
			st.close()
			return nil, err
		}
		st.closers = append(st.closers, a.Close)
		sinks = append(sinks, a)
	}
	return sinks, nil
}

func idleTimeout(cfg config.Listener) time.Duration {
	if cfg.ConnectionIdleTimeout > 0 {
		return cfg.ConnectionIdleTimeout
	}
	return config.DefaultConnectionIdleTimeout
}

func listenerPath(filterPath string) string {
	before, _, _ := strings.Cut(filterPath, ".filter_chains")
	return before
}

// frontend is a listener with the stack that answers it now.
type frontend struct {
	cfg      config.Listener
	listener *listener.Listener
	current  atomic.Pointer[stack]
}

func (s *Server) newFrontend(cfg config.Listener, st *stack, path string) *frontend {
	f := &frontend{cfg: cfg}
	f.current.Store(st)
	f.listener = listener.New(s.base, listener.Options{
		Name:           cfg.Name,
		Path:           path,
		Network:        cfg.Network,
		Address:        cfg.Address,
		Unbound:        !cfg.BindPort,
		MaxConnections: cfg.MaxConnections,
		WriteTimeout:   idleTimeout(cfg),
		Handler:        f,
		Log:            s.opts.Log,
	})
	return f
}

// ServeConn implements listener.Handler.
func (f *frontend) ServeConn(ctx context.Context, c *conn.Conn) error {
	if st := f.current.Load(); st.requests == nil {
		return st.connections.ServeConn(ctx, c)
	} else {
		return st.connections.(serverHandler).server.ServeConn(ctx, c, f)
	}
}

// Handle implements stream.Handler with the stack of the moment.
func (f *frontend) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	return f.current.Load().requests.Handle(ctx, req)
}

// Reject implements stream.Rejecter.
func (f *frontend) Reject(ctx context.Context, req *stream.Request, status int, err *stream.Error) {
	if r, ok := f.current.Load().requests.(stream.Rejecter); ok {
		r.Reject(ctx, req, status, err)
	}
}

func (f *frontend) serves() string { return f.current.Load().words }

// swap puts a new stack in place. What the old one had open is given back
// once no request can be using it any more.
func (f *frontend) swap(st *stack) {
	old := f.current.Swap(st)
	time.AfterFunc(config.DefaultRouteTimeout, old.close)
}

// retire ends a listener that is no longer configured.
func (f *frontend) retire(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_ = f.listener.Drain(ctx)
	f.close()
}

func (f *frontend) close() {
	f.listener.Close()
	f.current.Load().close()
}

// serverHandler marks a stack whose connections a protocol server answers.
type serverHandler struct{ server protocol.Server }

// ServeConn implements listener.Handler; the frontend calls the server itself.
func (serverHandler) ServeConn(context.Context, *conn.Conn) error { return nil }
