package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/mirror"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/retry"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// ProxyFilter is the name of the network filter that reads requests and routes them.
const ProxyFilter = "proxy"

// build makes the stack of one listener from its network filters: "proxy", or
// one that answers connections itself, or both: then the second gets the
// connections whose protocol the first does not know.
func (s *Server) build(snapshot *config.Snapshot, cfg config.Listener, clusters *cluster.Manager, path string) (_ *stack, err error) {
	if len(cfg.FilterChains) != 1 || len(cfg.FilterChains[0].Filters) == 0 {
		return nil, decode.Problems{{Path: path + ".filter_chains", Message: "exactly one chain with at least one network filter is needed"}}
	}
	filters := cfg.FilterChains[0].Filters
	at := func(i int) filter.Env {
		return filter.Env{Listener: cfg.Name, Log: s.opts.Log, Path: decode.At(path+".filter_chains[0].filters", i) + ".config"}
	}
	st := newStack("filter "+filters[0].Type, filters[0].Type, nil)
	next := 0
	if filters[0].Type == ProxyFilter {
		if st, err = s.buildProxy(snapshot, cfg, filters[0], clusters, at(0), path); err != nil {
			return nil, err
		}
		if next = 1; !st.gate.fallback {
			next = len(filters)
			if next > 1 {
				st.release()
				return nil, decode.Problems{{
					Path:    decode.At(path+".filter_chains[0].filters", 1),
					Message: "behind a proxy filter, another gets connections only with fallback_for_unknown_protocol", Remedy: "set it, or leave this filter out",
				}}
			}
		}
	}
	if next < len(filters) {
		if st.network, err = s.buildNetwork(filters[next], cfg, clusters, at(next)); err != nil {
			st.release()
			return nil, err
		}
		next++
	}
	if next < len(filters) {
		st.release()
		return nil, decode.Problems{{Path: decode.At(path+".filter_chains[0].filters", next), Message: "no connection would ever come here", Remedy: "leave it out"}}
	}
	if err := st.gate.secure(s, cfg, path); err != nil {
		st.release()
		return nil, err
	}
	if err := st.listens(cfg, path); err != nil {
		st.release()
		return nil, err
	}
	if st.gate.tls != nil {
		st.words += ", TLS"
	}
	return st, nil
}

// listens finds out how connections come in, and refuses listener filters that
// nobody knows.
func (st *stack) listens(cfg config.Listener, path string) error {
	for i, f := range cfg.ListenerFilters {
		if f.Type != origdst.FilterType {
			return decode.Problems{{
				Path:    decode.At(path+".listener_filters", i) + ".type",
				Message: fmt.Sprintf("unknown listener filter %q", f.Type), Remedy: "known: " + origdst.FilterType,
			}}
		}
	}
	capture, _, err := origdst.Parse(&cfg, path) // warnings were given by Validate
	st.capture = capture
	return err
}

// buildNetwork makes a filter that answers connections itself.
func (s *Server) buildNetwork(ext config.Extension, cfg config.Listener, clusters *cluster.Manager, env filter.Env) (listener.Handler, error) {
	if ext.Type == TCPFilter {
		return s.buildTCP(ext, cfg, clusters, env)
	}
	network, ok := s.opts.Network[ext.Type]
	if !ok {
		known := slices.Sorted(maps.Keys(s.opts.Network))
		return nil, decode.Problems{{
			Path: strings.TrimSuffix(env.Path, ".config") + ".type", Message: fmt.Sprintf("unknown network filter %q", ext.Type),
			Remedy: "known: " + strings.Join(append(known, ProxyFilter, TCPFilter), ", "),
		}}
	}
	return network(env, ext.Config)
}

// buildProxy is the whole way of a request, from the wire to the wire. It
// reads from the bottom up; a request passes it from the top down.
func (s *Server) buildProxy(snapshot *config.Snapshot, cfg config.Listener, ext config.Extension, clusters *cluster.Manager, env filter.Env, path string) (_ *stack, err error) {
	proxy := config.Proxy{}
	if _, err = decode.Into(&proxy, ext.Config, env.Path); err != nil {
		return nil, err // warnings were given by Validate
	}
	downstream, upstreamName, err := s.protocols(proxy, env.Path)
	if err != nil {
		return nil, err
	}
	table, tablePath, err := s.findRouter(snapshot, proxy.RouterConfigName, env.Path)
	if err != nil {
		return nil, err
	}
	filterEnv := filter.Env{Listener: cfg.Name, Log: env.Log, Path: path + ".stream_filters", Clusters: clusters, Go: s.background, Calls: &s.calls}
	places, err := s.opts.Filters.Build(filterEnv, cfg.StreamFilters)
	if err != nil {
		return nil, err
	}
	st := newStack("", "", nil)
	st.gate.fallback = proxy.Fallback
	defer func() {
		if err != nil {
			st.release()
		}
	}()
	sinks, err := s.accessLogs(cfg, st, path)
	if err != nil {
		return nil, err
	}
	for _, p := range downstream {
		server, err := p.NewServer(protocol.ServerOptions{
			Listener:    cfg.Name,
			IdleTimeout: idleTimeout(cfg),
			Log:         env.Log,
			Extend:      extendFor(proxy.ExtendConfig, p, len(downstream)),
			Path:        env.Path + ".extend_config",
		})
		if err != nil {
			return nil, err
		}
		st.gate.speakers = append(st.gate.speakers, speaker{p, server})
	}
	st.kind = "proxy " + st.gate.names()
	st.words = fmt.Sprintf("%s, router %s", st.gate.names(), proxy.RouterConfigName)

	// 7. The cluster chooses a host and sends the request there, over its
	//    connection pool (packages cluster, upstream, protocol). Filters that
	//    want to see each attempt stand between host and pool.
	// 6. One owner of retries: all above sees one request, all below attempts.
	// 5. Copies for other clusters are made once, not per attempt.
	// 4. Filters that want to know the route stand between it and the cluster.
	backends := s.newBackends(clusters, places.AfterRoute)
	// 3. The route decides which cluster, and how long it may take.
	chooser, known := s.opts.Choosers.Lookup(proxy.RouterHandlerName)
	if !known {
		return nil, decode.Problems{{
			Path: env.Path + ".router_handler_name", Message: fmt.Sprintf("unknown way to choose a route %q", proxy.RouterHandlerName),
			Remedy: "known: " + strings.Join(s.opts.Choosers.Names(), ", "),
		}}
	}
	routes, _, err := router.New(table, router.Options{Backends: backends, Usable: clusters.Usable, Chooser: chooser, FilterConfig: func(name string, cfg any, path string) (any, error) {
		env := filterEnv
		env.Path = path
		return s.opts.Filters.Route(env, name, cfg)
	}}, tablePath)
	if err != nil {
		return nil, err // warnings were given by Validate
	}
	var h stream.Handler = routes
	h = speak(upstreamName, places.PerHost, h)
	// 2. Filters that every request passes, in the order of the configuration.
	h = stream.Chain(h, places.BeforeRoute...)
	// 1. One record per request is outermost: it sees what filters answer, too.
	st.requests = telemetry.Handler(h, append(sinks, st.lastSink()...)...)
	// 0. The gate finds out which protocol is spoken (gate.go), and that
	//    protocol's server turns bytes into requests. It is given the frontend,
	//    not this stack, so that a new configuration reaches open connections.
	return st, nil
}

// speak notes the protocol to speak with hosts, "" being the caller's own; a
// route may say otherwise. And it notes the filters that stand at the host.
func speak(name string, perHost []stream.Filter, next stream.Handler) stream.Handler {
	var atHost stream.Filter
	if len(perHost) > 0 {
		atHost = func(next stream.Handler) stream.Handler { return stream.Chain(next, perHost...) }
	}
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if req.UpstreamProtocol = name; name == "" {
			req.UpstreamProtocol = req.Protocol
		}
		req.PerHost = atHost
		return next.Handle(ctx, req)
	})
}

// backends gives the router its clusters, with what stands in front of them.
type backends map[string]stream.Handler

func (s *Server) newBackends(clusters *cluster.Manager, filters []stream.Filter) backends {
	b := make(backends)
	env := mirror.Env{Clusters: clusters, Go: s.background, Log: s.opts.Log, Counters: &s.copies}
	for _, c := range clusters.All() {
		b[c.Name()] = stream.Chain(mirror.New(retry.New(c, c), env), filters...)
	}
	return b
}

// Cluster implements router.Backends.
func (b backends) Cluster(name string) (stream.Handler, bool) {
	h, ok := b[name]
	return h, ok
}

// protocols returns those that callers may speak, and the name of the one to
// speak with hosts, "" being the caller's own.
func (s *Server) protocols(proxy config.Proxy, path string) (downstream []protocol.Protocol, upstream string, err error) {
	lookup := func(spoken config.Spoken) (protocol.Protocol, error) {
		if p, ok := s.opts.Protocols.Lookup(spoken.Name); ok {
			return p, nil
		}
		return nil, decode.Problems{{
			Path: path + "." + spoken.Key, Message: fmt.Sprintf("unknown protocol %q", spoken.Name),
			Remedy: "known: " + strings.Join(append(s.opts.Protocols.Names(), config.Auto), ", "),
		}}
	}
	names, err := proxy.Downstream(s.opts.Protocols.Framed())
	if err != nil {
		return nil, "", decode.AsProblems(err, path)
	}
	if strings.EqualFold(proxy.DownstreamProtocol, config.Auto) {
		names = nil
		for _, name := range s.opts.Protocols.Names() {
			names = append(names, config.Spoken{Name: name})
		}
	}
	for _, name := range names {
		p, err := lookup(name)
		if err != nil {
			return nil, "", err
		}
		if !slices.Contains(downstream, p) {
			downstream = append(downstream, p)
		}
	}
	name, err := proxy.Upstream()
	if err != nil {
		return nil, "", decode.AsProblems(err, path)
	}
	if name.Name == "" {
		return downstream, "", nil
	}
	up, err := lookup(name)
	if err != nil {
		return nil, "", err
	}
	return downstream, up.Name(), nil
}

// extendFor returns a protocol's own options. Where several are spoken they
// stand under the protocol's name, or side by side for all.
func extendFor(extend map[string]any, p protocol.Protocol, several int) map[string]any {
	for key, value := range extend {
		if own, ok := value.(map[string]any); ok && strings.EqualFold(key, p.Name()) {
			return own
		}
	}
	if several > 1 {
		return nil
	}
	if _, has := extend[config.SubProtocol]; has {
		extend = maps.Clone(extend)
		delete(extend, config.SubProtocol)
	}
	return extend
}

// findRouter returns a router and where it stands.
func (s *Server) findRouter(snapshot *config.Snapshot, name, path string) (_ config.Router, at string, err error) {
	var known []string
	for i, r := range snapshot.Routers {
		if r.Name == name {
			return r, pathOf(s.opts.Paths, s.opts.Paths.Routers, name, i), nil
		}
		known = append(known, r.Name)
	}
	p := decode.Problem{
		Path: path + ".router_config_name", Message: fmt.Sprintf("there is no router %q", name),
		Remedy: "known: " + strings.Join(known, ", "),
	}
	if near := decode.Nearest(name, known); near != "" {
		p.Remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return config.Router{}, "", decode.Problems{p}
}

// accessLogs opens the listener's access logs; st closes them.
func (s *Server) accessLogs(cfg config.Listener, st *stack, path string) ([]telemetry.Sink, error) {
	sinks := slices.Clone(s.opts.Sinks)
	for i, l := range cfg.AccessLogs {
		a, err := telemetry.OpenAccessLog(l.Path, func(err error) {
			s.opts.Log.Error("access log", "listener", cfg.Name, "path", l.Path, "error", err)
		})
		if err != nil {
			return nil, decode.Problems{{
				Path: decode.At(path+".access_logs", i) + ".log_path", Message: err.Error(),
				Remedy: "choose a folder that is there and may be written",
			}}
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

// pathOf is where entry i of a list stands in the source of the configuration.
func pathOf(paths config.Paths, list, name string, i int) string {
	if made, ok := paths.Made[name]; ok && name != "" {
		return made
	}
	return decode.At(list, i)
}
