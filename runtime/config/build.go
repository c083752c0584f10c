package config

import (
	"cmp"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
)

// builder makes a Config from the shape of a file and collects what is wrong.
type builder struct {
	file           *File
	opts           Options
	warnings, errs decode.Problems
	cfg            Config
	paths          proxyconfig.Paths
	sections       *Sections // the runtime's, wherever they stand; nil when there are none
}

func (b *builder) fail(path, remedy, format string, args ...any) {
	b.errs = append(b.errs, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (b *builder) warn(path, remedy, format string, args ...any) {
	b.warnings = append(b.warnings, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (b *builder) build() *Config {
	b.cfg.Proxy = &proxyconfig.Snapshot{}
	b.cfg.ShutdownTimeout = DefaultTimeout
	b.cfg.Log.Path = "stderr"
	b.paths = proxyconfig.Paths{Listeners: "servers[0].listeners", Routers: "servers[0].routers", Clusters: "cluster_manager.clusters", Made: map[string]string{}}
	if b.file.Runtime == nil && len(b.file.Servers) == 0 {
		b.fail("", "add a section runtime, or servers", "there is nothing to start in this file")
		return nil
	}
	b.server()
	if b.file.ClusterManager != nil {
		b.clusters(b.file.ClusterManager)
	}
	b.longForm()
	b.actuator()
	if b.file.Runtime != nil {
		b.shortForm(b.file.Runtime)
	}
	if b.sections != nil {
		b.components()
	}
	if len(b.cfg.Proxy.Listeners) == 0 && len(b.errs) == 0 {
		b.fail("servers[0].listeners", "add one, or a section runtime", "there is nothing to start: the server has no listener")
	}
	known := b.opts.Known
	known.Paths = b.paths
	b.cfg.Paths = b.paths
	warnings, errs := b.cfg.Proxy.Validate(known)
	b.warnings, b.errs = append(b.warnings, warnings...), append(b.errs, errs...)
	return &b.cfg
}

// server takes over the one entry of servers.
func (b *builder) server() {
	if len(b.file.Servers) == 0 {
		return
	}
	if n := len(b.file.Servers); n > 1 {
		b.fail("servers[1]", "move its listeners and routers into the first", "there is one server in a process, here are %d", n)
	}
	s := &b.file.Servers[0]
	b.cfg.ServerName = s.Name
	b.cfg.ShutdownTimeout = s.GracefulTimeout
	b.log("servers[0].default_log_path", s.LogPath, s.LogLevel)
	b.cfg.Proxy.Listeners = slices.Clone(s.Listeners)
	b.cfg.Proxy.Routers = slices.Clone(s.Routers)
	for i := range b.cfg.Proxy.Listeners {
		if l := &b.cfg.Proxy.Listeners[i]; l.Name == "" {
			l.Name = l.Address
		}
	}
}

// clusters takes over the clusters. Those that ask for it get the manager's TLS
// context, as in MOSN also those that have their own.
func (b *builder) clusters(m *ClusterManager) {
	b.cfg.Proxy.Clusters = slices.Clone(m.Clusters)
	if m.TLSContext != nil {
		b.paths.ClusterTLS = "cluster_manager.tls_context"
	}
	shared := false
	for i := range b.cfg.Proxy.Clusters {
		c, at := &b.cfg.Proxy.Clusters[i], decode.At(b.paths.Clusters, i)
		switch {
		case !c.ClusterManagerTLS:
		case m.TLSContext != nil:
			if c.TLSContext != nil {
				b.warn(decode.Join(at, "tls_context"), "remove it, or cluster_manager_tls", "has no effect: with cluster_manager_tls the context of cluster_manager counts")
			}
			c.TLSContext, shared = m.TLSContext, true
		case c.TLSContext == nil:
			b.fail(decode.Join(at, "cluster_manager_tls"), "add cluster_manager.tls_context, or give the cluster its own", "there is no TLS context to use")
		default:
			b.warn(decode.Join(at, "cluster_manager_tls"), "remove it, or add cluster_manager.tls_context", "has no effect: cluster_manager has no TLS context, so the cluster's own counts")
		}
	}
	if m.TLSContext != nil && m.TLSContext.Status && !shared {
		b.warn("cluster_manager.tls_context", "set cluster_manager_tls: true on them, or remove this", "has no effect: no cluster uses it")
	}
}

func (b *builder) log(path, file, level string) {
	if file != "" {
		if b.cfg.Log.Path != "stderr" && b.cfg.Log.Path != file {
			b.fail(path, "keep one", "the log already goes to %q", b.cfg.Log.Path)
		}
		b.cfg.Log.Path = file
	}
	switch level {
	case "TRACE":
		b.cfg.Log.Level = LevelTrace
	case "DEBUG":
		b.cfg.Log.Level = slog.LevelDebug
	case "INFO":
		b.cfg.Log.Level = slog.LevelInfo
	case "WARN":
		b.cfg.Log.Level = slog.LevelWarn
	case "ERROR":
		b.cfg.Log.Level = slog.LevelError
	case "FATAL":
		b.cfg.Log.Level = LevelFatal
	}
}

// longForm looks for the network filter that carries the runtime.
func (b *builder) longForm() {
	for i := range b.cfg.Proxy.Listeners {
		l := &b.cfg.Proxy.Listeners[i]
		for j := range l.FilterChains {
			filters := fmt.Sprintf("%s.filter_chains[%d].filters", decode.At(b.paths.Listeners, i), j)
			k := slices.IndexFunc(l.FilterChains[j].Filters, func(f proxyconfig.Extension) bool { return f.Type == GRPCFilterType })
			if k < 0 {
				continue
			}
			b.grpcFilter(l, decode.Join(decode.At(filters, k), "config"), l.FilterChains[j].Filters[k].Config)
			// The core needs to know no more than this, and secrets are in
			// one place only. The shape's own chains stay as they are.
			l.FilterChains = cloneChains(l.FilterChains)
			l.FilterChains[j].Filters[k] = grpcExtension()
			l.FilterChains[j].Filters = b.without(l.FilterChains[j].Filters, filters, sampling)
			l.StreamFilters = b.without(l.StreamFilters, decode.Join(decode.At(b.paths.Listeners, i), "stream_filters"), watching)
		}
	}
}

// Filters that Layotto's files have around the API and that this version has no
// code for. They watch or limit; calls are answered without them.
var (
	sampling = map[string]string{"tcpcopy": "no samples of the traffic are written"}
	watching = map[string]string{"flowControlFilter": "calls of the API are not limited", "grpc_metric": "calls of the API are not counted"}
)

// without leaves out, with a warning each, the filters in none.
func (b *builder) without(list []proxyconfig.Extension, path string, none map[string]string) []proxyconfig.Extension {
	var out []proxyconfig.Extension
	for i, f := range list {
		if effect, ok := none[f.Type]; ok {
			b.warn(decode.Join(decode.At(path, i), "type"), "remove the filter to silence this", "this version has no code behind the filter %q yet: %s", f.Type, effect)
			continue
		}
		out = append(out, f)
	}
	return out
}

func cloneChains(chains []proxyconfig.FilterChain) []proxyconfig.FilterChain {
	out := slices.Clone(chains)
	for i := range out {
		out[i].Filters = slices.Clone(out[i].Filters)
	}
	return out
}

func grpcExtension() proxyconfig.Extension {
	return proxyconfig.Extension{Type: GRPCFilterType, Config: map[string]any{"server_name": RuntimeServer}}
}

func (b *builder) grpcFilter(l *proxyconfig.Listener, path string, config map[string]any) {
	if b.cfg.Runtime != nil {
		b.fail(path, "keep one", "there is one runtime in a process, and %s has it already", b.cfg.Runtime.Path)
		return
	}
	var f GRPCFilter
	decode.Defaults(&f)
	warnings, err := decode.Into(&f, config, path)
	b.warnings = append(b.warnings, warnings...)
	if err != nil {
		b.errs = append(b.errs, decode.AsProblems(err, path)...)
		return
	}
	if f.ServerName == "" {
		b.fail(decode.Join(path, "server_name"), `write "runtime"`, "the name of the gRPC server is missing")
	}
	if f.GRPCConfig == nil {
		b.warn(decode.Join(path, "grpc_config"), "", "is missing: the runtime has no components")
		f.GRPCConfig = &Sections{}
		decode.Defaults(f.GRPCConfig)
	}
	b.runtime(f.GRPCConfig, l.Name, decode.Join(path, "grpc_config"))
	b.cfg.Runtime.GracefulStopTimeout = f.GracefulStopTimeout
}

// runtime notes the runtime's own settings.
func (b *builder) runtime(s *Sections, listener, path string) {
	b.sections = s
	b.cfg.Runtime = &Runtime{Listener: listener, Path: path, AppID: s.App.ID, DataDir: s.DataDir, MaxRecvBytes: s.MaxRecvBytes, Components: make(map[string][]Component)}
	if s.DataDir == "" {
		b.cfg.Runtime.DataDir = DefaultDataDir
	}
}

// actuator looks for the listener that carries the actuator.
func (b *builder) actuator() {
	for i, l := range b.cfg.Proxy.Listeners {
		for j, f := range l.StreamFilters {
			if f.Type != ActuatorFilter {
				continue
			}
			if b.cfg.Actuator.Enabled {
				b.fail(fmt.Sprintf("%s.stream_filters[%d]", decode.At(b.paths.Listeners, i), j), "keep one", "there is one actuator in a process, and the listener %q has it already", b.cfg.Actuator.Listener)
				continue
			}
			b.cfg.Actuator = Actuator{Enabled: true, Listener: l.Name}
		}
	}
}

// shortForm adds what the section "runtime" implies.
func (b *builder) shortForm(s *ShortForm) {
	if b.cfg.Runtime != nil {
		b.fail("runtime", "keep one", "there is one runtime in a process, and %s has it already", b.cfg.Runtime.Path)
		return
	}
	b.runtime(&s.Sections, RuntimeListener, "runtime")
	b.cfg.Runtime.GracefulStopTimeout = s.GracefulStopTimeout
	listen := s.Listen
	if listen == "" {
		listen = DefaultListen
	}
	b.add("runtime.listen", RuntimeListener, listen, proxyconfig.FilterChain{Filters: []proxyconfig.Extension{grpcExtension()}}, nil)
	if s.Log != nil {
		b.log("runtime.log.path", s.Log.Path, s.Log.Level)
		b.cfg.Log.JSON = s.Log.Format == "json"
	}
	section := ActuatorSection{Enabled: true}
	if s.Actuator != nil {
		section = *s.Actuator
	}
	switch {
	case b.cfg.Actuator.Enabled && section.Enabled && section.Listen != "":
		b.fail("runtime.actuator.listen", "keep one", "there is one actuator in a process, and the listener %q has it already", b.cfg.Actuator.Listener)
	case b.cfg.Actuator.Enabled && !section.Enabled:
		b.fail("runtime.actuator.enabled", "remove one of them", "is false, but the listener %q has an actuator", b.cfg.Actuator.Listener)
	case !b.cfg.Actuator.Enabled && section.Enabled:
		b.addActuator(section.Listen)
	}
}

func (b *builder) addActuator(listen string) {
	if listen == "" {
		listen = DefaultActuatorListen
	}
	chain := proxyconfig.FilterChain{Filters: []proxyconfig.Extension{{Type: "proxy", Config: map[string]any{
		"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": ActuatorRouter,
	}}}}
	b.add("runtime.actuator.listen", ActuatorListener, listen, chain, []proxyconfig.Extension{{Type: ActuatorFilter}})
	b.cfg.Actuator = Actuator{Enabled: true, Listener: ActuatorListener}
	named := func(r proxyconfig.Router) bool { return r.Name == ActuatorRouter }
	if !slices.ContainsFunc(b.cfg.Proxy.Routers, named) {
		b.paths.Made[ActuatorRouter] = "runtime.actuator"
		b.cfg.Proxy.Routers = append(b.cfg.Proxy.Routers, proxyconfig.Router{Name: ActuatorRouter})
	}
}

// add appends a listener that the file implies by path.
func (b *builder) add(path, name, listen string, chain proxyconfig.FilterChain, filters []proxyconfig.Extension) {
	for i, l := range b.cfg.Proxy.Listeners {
		if l.Name == name {
			b.fail(decode.Join(decode.At(b.paths.Listeners, i), "name"), "choose another name", "the name %q is taken by the listener that %s makes", name, path)
			return
		}
	}
	l := proxyconfig.Listener{Name: name, Address: listen, BindPort: true, FilterChains: []proxyconfig.FilterChain{chain}, StreamFilters: filters}
	if socket, ok := strings.CutPrefix(listen, "unix:"); ok {
		l.Network, l.Address = "unix", socket
	} else if _, _, err := net.SplitHostPort(listen); err != nil {
		remedy := `write host:port or unix:/path`
		if strings.Trim(listen, "0123456789") == "" {
			remedy = fmt.Sprintf(`write "127.0.0.1:%s"`, listen)
		}
		b.fail(path, remedy, "%q is no address", listen)
		return
	}
	b.paths.Made[name] = path
	b.cfg.Proxy.Listeners = append(b.cfg.Proxy.Listeners, l)
}

// components takes over the components of all kinds, those of a kind sorted by
// name.
func (b *builder) components() {
	s := b.sections
	b.cfg.Runtime.App = s.App
	if s.App.GRPCCallbackHost != "" && s.App.GRPCCallbackPort == 0 {
		b.warn(decode.Join(decode.Join(b.cfg.Runtime.Path, "app"), "grpc_callback_host"), "add grpc_callback_port", "has no effect: without a port nobody is called")
	}
	simple := func(section string, from map[string]SimpleComponent) {
		collect(b, section, from, func(_ string, c SimpleComponent) Component { return c.component() })
	}
	simple(SecretStores, s.SecretStore)
	collect(b, ConfigStores, s.ConfigStore, func(_ string, c ConfigStoreComponent) Component {
		return c.component().with("address", c.Address, len(c.Address) > 0).with("timeout", c.Timeout, c.Timeout != "")
	})
	for _, kind := range slices.Sorted(maps.Keys(s.CustomComponent)) {
		section := CustomComponents + "." + kind
		simple(section, s.CustomComponent[kind])
		if b.opts.Customs != nil && !b.opts.Customs(kind, b.cfg.Runtime.Components[section]) {
			b.warn(decode.Join(decode.Join(b.cfg.Runtime.Path, CustomComponents), kind), "remove it, or embed the runtime in a program that brings them", "no component of this kind is made: the program brings none")
			delete(b.cfg.Runtime.Components, section)
		}
	}
	collect(b, Hellos, s.Hellos, func(_ string, h HelloComponent) Component {
		c := h.component()
		if h.Hello != nil {
			c = c.with("hello", *h.Hello, true)
		}
		return c
	})
	simple(States, s.State)
	collect(b, RPCs, s.RPCs, func(name string, c RPCComponent) Component {
		return Component{Type: cmp.Or(c.Type, name), Section: "config", Metadata: c.Config, SecretRefs: c.SecretRef}
	})
	simple(Bindings, s.Bindings)
	simple(PubSubs, s.PubSubs)
	collect(b, Files, s.File, func(_ string, c FileComponent) Component { return b.fileComponent(c) })
	if len(s.Files) > 0 {
		b.warn(decode.Join(b.cfg.Runtime.Path, "files"), "write file", "is an old name")
		b.files(s)
	}
	simple(ObjectStores, s.OSS)
	simple(Locks, s.Lock)
	collect(b, Sequencers, s.Sequencer, func(_ string, c SequencerComponent) Component {
		return c.component().with("biggerThan", c.BiggerThan, len(c.BiggerThan) > 0)
	})
	simple(Ciphers, s.Cryption)
	simple(EmailSenders, s.Email)
	simple(PhoneCallers, s.Phone)
	simple(SMSSenders, s.SMS)
	b.references()
}

func (c SimpleComponent) component() Component {
	return Component{Type: c.Type, Section: "metadata", Metadata: c.Metadata, SecretRefs: c.SecretRef, ComponentRef: c.ComponentRef}
}

// with adds one of the component's other keys, if it is there.
func (c Component) with(key string, value any, there bool) Component {
	if there {
		if c.Rest == nil {
			c.Rest = make(map[string]any)
		}
		c.Rest[key] = value
	}
	return c
}

// ClientsKey is the setting that holds the list, where the metadata of a file
// store is one.
const ClientsKey = "clients"

// fileComponent brings the forms of a file store's metadata into one.
func (b *builder) fileComponent(c FileComponent) Component {
	out := Component{Type: c.Type, Section: "metadata", SecretRefs: c.SecretRef}
	switch m := c.Metadata.(type) {
	case nil:
	case map[string]any:
		out.Metadata = m
	default:
		// What is no list of objects either is found when it is decoded.
		out.Metadata = map[string]any{ClientsKey: m}
		out.listed = true
	}
	return out
}

// files takes over the components of the section "files", which is another name
// of "file".
func (b *builder) files(s *Sections) {
	for name := range s.Files {
		if _, twice := s.File[name]; twice {
			b.fail(decode.Join(decode.Join(b.cfg.Runtime.Path, "files"), name), "keep one", "the section file has a component of this name, too")
			return
		}
	}
	known := b.cfg.Runtime.Components[Files]
	b.collectAt(decode.Join(b.cfg.Runtime.Path, "files"), Files, len(s.Files), maps.Keys(s.Files), func(name string) Component { return b.fileComponent(s.Files[name]) })
	all := append(known, b.cfg.Runtime.Components[Files]...)
	slices.SortFunc(all, func(x, y Component) int { return strings.Compare(x.Name, y.Name) })
	b.cfg.Runtime.Components[Files] = all
}

// names is the remedy for a name of a component that is not there.
func (b *builder) names(section string) string {
	list := make([]string, 0, len(b.cfg.Runtime.Components[section]))
	for _, c := range b.cfg.Runtime.Components[section] {
		list = append(list, c.Name)
	}
	if len(list) == 0 {
		return "add one to " + decode.Join(b.cfg.Runtime.Path, section)
	}
	return "there are: " + strings.Join(list, ", ")
}

// collect makes and checks the components of one kind.
func collect[T any](b *builder, section string, from map[string]T, convert func(string, T) Component) {
	b.collectAt(decode.Join(b.cfg.Runtime.Path, section), section, len(from), maps.Keys(from), func(name string) Component { return convert(name, from[name]) })
}

// collectAt does that for components that stand below path.
func (b *builder) collectAt(path, section string, n int, names iter.Seq[string], convert func(string) Component) {
	if n == 0 {
		return
	}
	out := make([]Component, 0, n)
	for _, name := range slices.Sorted(names) {
		c := convert(name)
		c.Name, c.Path = name, decode.Join(path, name)
		switch {
		case name == "":
			b.fail(c.Path, "", "the component has no name")
		case c.Type == "":
			b.fail(decode.Join(c.Path, "type"), b.knownTypes(section), "the type is missing")
		default:
			b.component(section, &c)
		}
		out = append(out, c)
	}
	b.cfg.Runtime.Components[section] = out
}

func (b *builder) kind(section string) (Kind, bool) {
	for _, k := range b.opts.Kinds {
		if k.Section == section {
			return k, true
		}
	}
	return Kind{}, false
}

// knownTypes is the remedy for a type that is missing or unknown.
func (b *builder) knownTypes(section string) string {
	kind, ok := b.kind(section)
	if !ok {
		return ""
	}
	return "known types: " + strings.Join(kind.names(), ", ")
}

func (k Kind) names() []string {
	names := make([]string, len(k.Types))
	for i, t := range k.Types {
		names[i] = t.Name
	}
	slices.Sort(names)
	return names
}

// component checks type and settings of a component, as far as they are known.
func (b *builder) component(section string, c *Component) {
	kind, ok := b.kind(section)
	if !ok {
		b.places(Kind{}, nil, c)
		return
	}
	i := slices.IndexFunc(kind.Types, func(t Type) bool { return t.Name == c.Type })
	if i < 0 {
		remedy := b.knownTypes(section)
		if near := decode.Nearest(c.Type, kind.names()); near != "" {
			remedy = fmt.Sprintf("did you mean %q? ", near) + remedy
		}
		if kind.Elsewhere != nil {
			if more := kind.Elsewhere(c.Type); more != "" {
				remedy += "; " + more
			}
		}
		path := decode.Join(c.Path, "type")
		if section == RPCs && c.Type == c.Name {
			path = c.Path
		}
		b.fail(path, remedy, "unknown type %q", c.Type)
		return
	}
	t := kind.Types[i]
	b.idle(section, t, c)
	b.places(kind, &t, c)
	warnings, err := known(kind, t, c.Metadata, decode.Join(c.Path, c.Section))
	b.warnings = append(b.warnings, warnings...)
	if check := t.Check; check != nil && err == nil {
		err = check(*c, func(p decode.Problem) { b.warnings = append(b.warnings, p) })
	}
	b.errs = append(b.errs, decode.AsProblems(err, c.Path)...)
}
