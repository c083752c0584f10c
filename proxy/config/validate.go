package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Known is what a snapshot may refer to: the names that this build of the
// program has code for. A list that is nil is not checked against.
type Known struct {
	Protocols []string // compared without regard to case
	// ProtocolAliases leads from other names of protocols to those in Protocols.
	ProtocolAliases map[string]string
	// RPC are those of Protocols that the name X can stand for.
	RPC             []string
	ListenerFilters []string
	NetworkFilters  []string
	StreamFilters   []string
	// Balancers is for the schema; Cluster checks them.
	Balancers []string
	// Choosers are the ways to choose among routes (router_handler_name). nil: not
	// checked here.
	Choosers []string
	// TLS checks the contexts of a listener (server) or of a cluster with all
	// that they refer to, such as files; path says where context i stands. nil:
	// not checked.
	TLS func(list []TLS, server bool, path func(i int) string) (warnings, errs decode.Problems)
	// Capture checks how the listener that stands at path gets connections that
	// wanted to go elsewhere. nil: not checked.
	Capture func(l *Listener, path string) (warnings, errs decode.Problems)
	// Router and Cluster check all that can be checked of one router or cluster
	// by itself, which stands at path. nil: not checked.
	Router  func(r *Router, path string) (warnings, errs decode.Problems)
	Cluster func(c *Cluster, path string) (warnings, errs decode.Problems)
	// Filter checks a stream filter of StreamFilters, which stands at path. nil:
	// not checked.
	Filter func(ext Extension, path string) decode.Problems
	// L4 checks the routes of a "tcp_proxy" that stands at path. nil: not checked.
	L4 func(cfg L4Proxy, path string) decode.Problems
	// Paths says where the parts of the snapshot stand in their source.
	Paths Paths
}

// Paths says where the parts of a snapshot stand in their source, so that
// problems can name the place. The zero value means a file that is a snapshot.
type Paths struct {
	// Listeners, Routers and Clusters are the paths of the lists:
	// "servers[0].listeners". "" is the key of the list in Snapshot.
	Listeners, Routers, Clusters string
	// ClusterTLS is the path of the TLS context that the clusters with
	// ClusterManagerTLS share. "": each stands with its cluster.
	ClusterTLS string
	// Made holds the path of what caused a listener or router that is not in
	// the source itself, by its name: "runtime.listen".
	Made map[string]string
}

func (p Paths) of(list, fallback, name string, i int) string {
	if made, ok := p.Made[name]; ok && name != "" {
		return made
	}
	if list == "" {
		list = fallback
	}
	return decode.At(list, i)
}

// Names that MOSN's users may have in their files and that have no code here yet.
var (
	unbuiltProtocols      = []string{"tr", "wasm"}
	unbuiltNetworkFilters = []string{"tcpcopy", "connection_manager", "connectionmanager", "streamproxy", "tunnel"}
	unbuiltStreamFilters  = []string{
		"flowControlFilter", "grpc_metric", "fault_inject", "gzip",
		"ip_access", "payload_limit", "proxywasm", "seata", "jwt_authn", "mixer", "stats",
	}
)

// Validate checks that the snapshot can be built: names are unique and known,
// references lead somewhere, addresses and expressions can be read. It changes
// nothing. Warnings concern what works, but hardly as meant.
func (s *Snapshot) Validate(known Known) (warnings, errs decode.Problems) {
	v := &validator{known: known, strictRouters: map[string]string{}, clusterNames: map[string]bool{}}
	for _, c := range s.Clusters {
		v.clusterNames[c.Name] = true
	}
	routers := v.routerNames(s)
	v.listeners(s, routers)
	v.clusters(s)
	v.routers(s)
	return v.warnings, v.errs
}

type validator struct {
	known          Known
	warnings, errs decode.Problems
	// strictRouters holds the routers whose clusters must exist, with the path
	// of the proxy filter that says so.
	strictRouters map[string]string
	// clusterNames holds the names of all clusters.
	clusterNames map[string]bool
	// clusterTLS says that the context which clusters share has been checked.
	clusterTLS bool
}

func (v *validator) fail(path, remedy, format string, args ...any) {
	v.errs = append(v.errs, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (v *validator) warn(path, remedy, format string, args ...any) {
	v.warnings = append(v.warnings, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// add takes over what others found.
func (v *validator) add(warnings, errs decode.Problems) {
	v.warnings, v.errs = append(v.warnings, warnings...), append(v.errs, errs...)
}

// name reports a name that is not in the list, and says what is.
func (v *validator) name(path, what, name string, list, unbuilt []string, fold bool) {
	if list == nil {
		return
	}
	equal := func(a string) bool { return a == name || fold && strings.EqualFold(a, name) }
	if slices.ContainsFunc(list, equal) {
		return
	}
	remedy := "known: " + strings.Join(slices.Sorted(slices.Values(list)), ", ")
	if slices.ContainsFunc(unbuilt, equal) {
		v.fail(path, remedy, "this version knows the %s %q but has no code behind it yet", what, name)
		return
	}
	if near := decode.Nearest(name, list); near != "" {
		remedy = fmt.Sprintf("did you mean %q? ", near) + remedy
	}
	v.fail(path, remedy, "unknown %s %q", what, name)
}

// unique notes a name and reports a second one. A missing name is an error too.
func (v *validator) unique(seen map[string]string, what, path, key, name string) {
	at := decode.Join(path, key)
	if name == "" {
		v.fail(at, "give it a name", "the %s has no name", what)
		return
	}
	if first, twice := seen[name]; twice {
		v.fail(at, "names are unique", "the name %q is taken by %s", name, first)
		return
	}
	seen[name] = path
}

func (v *validator) notNegative(path, key string, d time.Duration) {
	if d < 0 {
		v.fail(decode.Join(path, key), "", "must not be negative, is %s", d)
	}
}

func (v *validator) listeners(s *Snapshot, routers map[string]bool) {
	names := map[string]string{}
	var bound []binding
	for i := range s.Listeners {
		l := &s.Listeners[i]
		path := v.known.Paths.of(v.known.Paths.Listeners, "listeners", l.Name, i)
		v.unique(names, "listener", path, "name", l.Name)
		v.notNegative(path, "connection_idle_timeout", l.ConnectionIdleTimeout)
		if l.MaxConnections < 0 {
			v.fail(decode.Join(path, "max_connections"), "", "must not be negative, is %d", l.MaxConnections)
		}
		at := decode.Join(path, "address")
		if v.known.Paths.Made[l.Name] == path {
			at = path // what made the listener is its address
		}
		if b, ok := v.address(path, at, l); ok {
			for _, other := range bound {
				if other.overlaps(b) {
					v.fail(at, "choose another address", "%s is taken by the listener %q, %s, which has %s", l.Address, other.listener, other.path, other.text)
					break
				}
			}
			bound = append(bound, b)
		}
		v.filters(path, l, routers)
	}
}

// binding is an address that a listener occupies.
type binding struct {
	listener, path, text string
	socket               string // path of a unix socket, or ""
	host, port           string
	datagrams            bool // ports of udp are others than those of tcp
}

func (b binding) overlaps(o binding) bool {
	if b.socket != "" || o.socket != "" {
		return b.socket == o.socket
	}
	return b.datagrams == o.datagrams && b.port == o.port && b.port != "0" && (b.host == o.host || wildcard(b.host) || wildcard(o.host))
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// address checks where the listener at path listens, which is written at at; ok
// says that it occupies the binding.
func (v *validator) address(path, at string, l *Listener) (b binding, ok bool) {
	b = binding{listener: l.Name, path: path, text: l.Address}
	switch l.Network {
	case "", "tcp", "unix":
	case "udp":
		b.datagrams = true
	default:
		v.fail(decode.Join(path, "network"), "known: tcp, udp, unix", "unknown network %q", l.Network)
		return b, false
	}
	if l.Address == "" {
		if l.BindPort {
			v.fail(at, `write host:port, or the path of a socket with network: unix; or bind_port: false`, "the listener has no address")
		}
		return b, false
	}
	if socket, unix := strings.CutPrefix(l.Address, "unix:"); l.Network == "unix" || unix && l.Network != "udp" {
		const longest = 107 // what the operating system takes
		if socket == "" || len(socket) > longest {
			v.fail(at, fmt.Sprintf("a path of 1 to %d bytes", longest), "%q is no path of a unix socket", l.Address)
			return b, false
		}
		b.socket = filepath.Clean(socket)
		return b, l.BindPort
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		v.fail(at, `write host:port, for example "127.0.0.1:8080"`, "%q is no address: %s", l.Address, addrError(err))
		return b, false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.fail(at, "a number from 0 to 65535", "the port of %q is no port", l.Address)
		return b, false
	} else {
		port = strconv.FormatUint(n, 10)
	}
	if host != "" && !hostName(host) {
		v.fail(at, `write host:port, for example "127.0.0.1:8080"`, "the host of %q is neither an IP address nor a name", l.Address)
		return b, false
	}
	b.host, b.port = host, port
	return b, l.BindPort
}

// addrError is what net says is wrong with an address, without the address.
func addrError(err error) string {
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		return e.Err
	}
	return err.Error()
}

// hostName reports whether host can be an IP address or a name in DNS.
func hostName(host string) bool {
	ip, zone, hasZone := strings.Cut(host, "%")
	if net.ParseIP(ip) != nil && (!hasZone || zone != "") {
		return true
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}

// knownNames is the remedy for a reference that leads nowhere.
func knownNames(name, what string, have map[string]bool) string {
	var names []string
	for n := range have {
		if n != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "there are no " + what
	}
	remedy := what + ": " + strings.Join(names[:min(len(names), 20)], ", ")
	if len(names) > 20 {
		remedy += ", …"
	}
	if near := decode.Nearest(name, names); near != "" {
		remedy = fmt.Sprintf("did you mean %q? ", near) + remedy
	}
	return remedy
}

func (v *validator) routerNames(s *Snapshot) map[string]bool {
	names := make(map[string]bool, len(s.Routers))
	for _, r := range s.Routers {
		if r.Name != "" {
			names[r.Name] = true
		}
	}
	return names
}
