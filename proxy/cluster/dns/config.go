package dns

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Family says which addresses of a name are used.
type Family uint8

// The families, as dns_lookup_family has them.
const (
	V4Only Family = iota // IPv4
	V6Only               // IPv6
	Auto                 // IPv6, or IPv4 where there is none
	All                  // both
)

var families = [...]string{V4Only: "V4_ONLY", V6Only: "V6_ONLY", Auto: "AUTO", All: "ALL"}

// String returns the family as configurations have it.
func (f Family) String() string {
	if int(f) < len(families) {
		return families[f]
	}
	return fmt.Sprintf("family %d", uint8(f))
}

// ParseFamily returns the family that a configuration's dns_lookup_family
// means; "" is V4Only. The error for another text lists the known ones.
func ParseFamily(text string) (Family, error) {
	if text == "" {
		return V4Only, nil
	}
	for f, name := range families {
		if name == text {
			return Family(f), nil
		}
	}
	return 0, fmt.Errorf("unknown dns_lookup_family %q; known are %s", text, strings.Join(families[:], ", "))
}

// Env is what a Resolver needs besides its configuration. The zero value will do.
type Env struct {
	// Dial connects to a name server; network is "udp" or "tcp". nil is
	// net.Dialer's, which gives each question a socket, thus a random port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// HostsFile is the file of names that are not asked for. "" is /etc/hosts.
	HostsFile string
	// Log is told when a file that is read again cannot be. nil: nobody is.
	Log *slog.Logger
}

const (
	defaultFile     = "/etc/resolv.conf"
	defaultHosts    = "/etc/hosts"
	defaultPort     = "53"
	defaultTimeout  = 5 * time.Second
	defaultAttempts = 2
)

// settings are how names are asked for. They do not change.
type settings struct {
	servers  []string // with port
	search   []string // without a dot at the end
	ndots    int
	timeout  time.Duration // for one answer
	attempts int           // how often each server is asked
}

// NewResolver makes the Resolver of a cluster from its dns_* keys, and checks
// them. It reads files, but asks no server. path is where the cluster stands in
// the configuration; the error is of type decode.Problems.
func NewResolver(c config.Cluster, env Env, path string) (r *Resolver, warnings decode.Problems, err error) {
	if env.HostsFile == "" {
		env.HostsFile = defaultHosts
	}
	if env.Dial == nil {
		env.Dial = new(net.Dialer).DialContext
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	var errs problems
	if _, err := ParseFamily(c.DNSLookupFamily); err != nil {
		errs.add(decode.Join(path, "dns_lookup_family"), "", "%v", err)
	}
	if c.DNSRefreshRate < 0 {
		errs.add(decode.Join(path, "dns_refresh_rate"), "", "must not be negative, is %s", c.DNSRefreshRate)
	}
	r = &Resolver{dial: env.Dial, hosts: newFile(env.HostsFile, env.Log, parseHosts)}
	if c.DNSResolvers == nil {
		r.settings = fromFile(c, env.Log, path, &errs)
		return r, nil, decode.Problems(errs).Err()
	}
	var warns problems
	for key, value := range map[string]string{"dns_resolver_file": c.DNSResolverFile, "dns_resolver_port": c.DNSResolverPort} {
		if value != "" {
			warns.add(decode.Join(path, key), "remove it, or dns_resolvers", "has no effect beside dns_resolvers")
		}
	}
	given := fromList(c.DNSResolvers, decode.Join(path, "dns_resolvers"), &errs)
	r.settings = func() *settings { return given }
	return r, decode.Problems(warns), decode.Problems(errs).Err()
}

// problems is a list of problems in the making.
type problems decode.Problems

func (p *problems) add(path, remedy, format string, args ...any) {
	*p = append(*p, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// fromList returns the settings that dns_resolvers, which stands at path, holds.
func fromList(c *config.DNSResolvers, path string, errs *problems) *settings {
	s := &settings{ndots: c.Ndots, timeout: time.Duration(c.Timeout) * time.Second, attempts: c.Attempts}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.attempts == 0 {
		s.attempts = defaultAttempts
	}
	if s.ndots < 0 || s.timeout < 0 || s.attempts < 0 {
		errs.add(path, "", "ndots, timeout and attempts must not be negative")
	}
	port := c.Port
	if port == "" {
		port = defaultPort
	} else if !validPort(port) {
		errs.add(decode.Join(path, "port"), "a number from 1 to 65535", "%q is no port", port)
	}
	list := decode.Join(path, "servers")
	if len(c.Servers) == 0 {
		errs.add(list, "list the addresses of name servers, or leave dns_resolvers out to use those of "+defaultFile, "there is no server")
	}
	for i, text := range c.Servers {
		server, ok := serverAddress(text, port)
		if !ok {
			errs.add(decode.At(list, i), `write an address with or without port: "10.0.0.2", "10.0.0.2:53", "[2001:db8::2]:53"`, "%q is no address of a name server", text)
		}
		s.servers = append(s.servers, server)
	}
	list = decode.Join(path, "search")
	for i, text := range c.Search {
		domain := strings.Trim(text, ".")
		if domain != "" && !validName(domain) {
			errs.add(decode.At(list, i), `write a domain, for example "svc.cluster.local"`, "%q is no domain", text)
		}
		s.search = append(s.search, domain)
	}
	return s
}

// fromFile returns where the settings come from that a resolv.conf holds.
func fromFile(c config.Cluster, log *slog.Logger, path string, errs *problems) func() *settings {
	name, port := c.DNSResolverFile, c.DNSResolverPort
	if name == "" {
		name = defaultFile
	}
	if port == "" {
		port = defaultPort
	} else if !validPort(port) {
		errs.add(decode.Join(path, "dns_resolver_port"), "a number from 1 to 65535", "%q is no port", port)
	}
	f := newFile(name, log, func(text []byte) *settings { return parseResolvConf(text, port) })
	if c.DNSResolverFile != "" {
		if err := f.load(); err != nil {
			errs.add(decode.Join(path, "dns_resolver_file"), "name a file in the form of resolv.conf, or list servers in dns_resolvers", "%v", err)
		}
	}
	return f.get
}

// parseResolvConf reads a resolv.conf. As resolv.conf(5) has it, it takes what
// it can and passes over the rest; without a server, it is the one of this
// machine.
func parseResolvConf(text []byte, port string) *settings {
	s := &settings{ndots: 1, timeout: defaultTimeout, attempts: defaultAttempts}
	c, err := dns.ClientConfigFromReader(bytes.NewReader(text))
	if err == nil {
		s.ndots = min(c.Ndots, maxNdots)
		s.timeout = min(time.Duration(min(c.Timeout, 1000))*time.Second, maxTimeout)
		s.attempts = min(c.Attempts, maxAttempts)
		for _, text := range c.Servers {
			if _, err := netip.ParseAddr(text); err == nil {
				s.servers = append(s.servers, net.JoinHostPort(text, port))
			}
		}
		for _, text := range c.Search {
			if domain := strings.Trim(text, "."); domain == "" || validName(domain) {
				s.search = append(s.search, domain)
			}
		}
	}
	if len(s.servers) == 0 {
		s.servers = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return s
}

// The most that a resolv.conf can ask for, as resolv.conf(5) has it.
const (
	maxNdots    = 15
	maxTimeout  = 30 * time.Second
	maxAttempts = 5
)

// serverAddress returns the address of a name server with port. It may be given
// by a name, which the operating system looks up.
func serverAddress(text, port string) (string, bool) {
	bare := text
	if inner, ok := strings.CutPrefix(text, "["); ok {
		bare, _ = strings.CutSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return net.JoinHostPort(ip.String(), port), true
	}
	if host, own, err := net.SplitHostPort(text); err == nil {
		text, port = host, own
	}
	if _, err := netip.ParseAddr(text); err != nil && !validName(text) || !validPort(port) {
		return "", false
	}
	return net.JoinHostPort(text, port), true
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// validName reports whether name, with or without a dot at the end, can be asked
// for: labels of letters, digits, "-" and "_".
func validName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i] | 0x20 // lower case
			if (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}
