package dns

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// WatcherOptions are how a Watcher works. The zero value will do.
type WatcherOptions struct {
	// RefreshRate is how often each name is looked up; 0 is 5 s. What is below
	// 10 ms is 10 ms.
	RefreshRate time.Duration
	// RespectTTL: each name is looked up when its answer expires instead, after
	// no less than a second and no more than an hour.
	RespectTTL bool
	// Family says which addresses are used.
	Family Family
	// Before is the Watcher of the same cluster in an earlier configuration:
	// what it found for names that stay is what this one begins with, if they
	// are of one family. nil: none.
	Before *Watcher
	// Log is told when the addresses of a name change, when it cannot be looked
	// up any more, and when it can again. nil: nobody is.
	Log *slog.Logger
}

const (
	defaultRate = 5 * time.Second
	minRate     = 10 * time.Millisecond
	minTTL      = time.Second
	longestTTL  = time.Hour
	// longestPause is the most time between tries to look up a name that fails,
	// unless the refresh rate is more.
	longestPause = 30 * time.Second
	// atOnce is how many names are looked up at a time.
	atOnce = 16
	// firstWait is how long hosts that are known wait for others at first.
	firstWait = 5 * time.Second
	// settle is how long one change waits for others.
	settle = 100 * time.Millisecond
)

// Watcher keeps the list of the hosts that names stand for.
//
// Each host of a configuration whose address has a name stands for as many hosts
// as that name has addresses, each with the port, weight and metadata of the one
// in the configuration; its hostname, if it gives none, is the name. Hosts whose
// address is an IP address stay as they are. The list is in the order of the
// configuration, and of addresses within it, whatever the order of an answer; of
// hosts with one address the first is in it.
//
// Hosts stay for as long as their name cannot be looked up, or is said not to
// exist or to have no address: a name that has been there is not taken to be
// gone, however long that lasts. Whether the hosts work is for health checks to
// say. Tries become rarer then: after 5 s (or the refresh rate, if less), then
// after twice the time before each, up to 30 s (or the refresh rate, if more).
type Watcher struct {
	lookup  Lookup
	options WatcherOptions
	places  []place
	names   []*name // what is to be looked up, each once
	ready   chan struct{}

	mu      sync.Mutex
	current []config.Host
	found   map[string][]netip.Addr
}

// place is one host of the configuration.
type place struct {
	host config.Host
	port string
	name *name // nil: the host stays as it is
}

// name is a name to be looked up. It belongs to Run.
type name struct {
	text     string
	addrs    []netip.Addr
	due      time.Time
	done     bool // it has been looked up once, with success or without
	failures int  // since the last success
	trouble  trouble
}

// trouble is what is wrong with a name.
type trouble int

const (
	fine    trouble = iota
	unknown         // DNS says that there is no address
	silent          // DNS does not say
)

// NewWatcher makes a Watcher of hosts, which are valid. It looks up nothing yet.
func NewWatcher(hosts []config.Host, lookup Lookup, options WatcherOptions) *Watcher {
	if options.RefreshRate <= 0 {
		options.RefreshRate = defaultRate
	}
	options.RefreshRate = max(options.RefreshRate, minRate)
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{lookup: lookup, options: options, ready: make(chan struct{})}
	before := options.Before
	w.options.Before = nil // or the chain would never end
	var known map[string][]netip.Addr
	if before != nil && before.options.Family == options.Family {
		before.mu.Lock()
		known = before.found
		before.mu.Unlock()
	}
	byName := make(map[string]*name)
	for _, h := range hosts {
		p := place{host: h}
		host, port, err := net.SplitHostPort(h.Address)
		if _, literal := netip.ParseAddr(host); err == nil && literal != nil {
			key := strings.ToLower(host)
			if p.port, p.name = port, byName[key]; p.name == nil {
				p.name = &name{text: host, addrs: known[key]}
				byName[key] = p.name
				w.names = append(w.names, p.name)
			}
			if p.host.Hostname == "" {
				p.host.Hostname = strings.TrimSuffix(host, ".")
			}
		}
		w.places = append(w.places, p)
	}
	w.current, w.found = w.expand()
	return w
}

// Hosts returns the hosts as they are known now: before Run has found anything,
// those that need no looking up or that Before knew. The slice must not be
// changed. It is safe for concurrent use.
func (w *Watcher) Hosts() []config.Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// Ready is closed when Run has the first result, and update has returned if it
// was called for it.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// expand returns the list of hosts, and the addresses that it was made of.
func (w *Watcher) expand() ([]config.Host, map[string][]netip.Addr) {
	var list []config.Host
	seen := make(map[string]bool)
	add := func(h config.Host, key string) {
		if !seen[key] {
			seen[key] = true
			list = append(list, h)
		}
	}
	for _, p := range w.places {
		if p.name == nil {
			key := p.host.Address
			if ap, err := netip.ParseAddrPort(key); err == nil {
				key = ap.String()
			}
			add(p.host, key)
			continue
		}
		for _, ip := range p.name.addrs {
			h := p.host
			h.Address = net.JoinHostPort(ip.String(), p.port)
			add(h, h.Address)
		}
	}
	found := make(map[string][]netip.Addr, len(w.names))
	for _, n := range w.names {
		if len(n.addrs) > 0 {
			found[strings.ToLower(n.text)] = n.addrs
		}
	}
	return list, found
}
