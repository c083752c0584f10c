package upstream

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Host is one address that requests can be sent to, and what is known about
// it. The exported fields do not change; the methods are safe for concurrent
// use. A new Host is healthy.
//
// When a configuration changes, a new Host takes the place of the old one and
// shares with it all that was learned: see NewHost and Same.
type Host struct {
	// Address is where to connect to, "host:port".
	Address string
	// Hostname is a name for records; it may be empty.
	Hostname string
	// Weight is the host's share among others, at least 1.
	Weight int
	// Labels are the host's metadata, sorted by key.
	Labels []stream.Label
	// Plain: it is spoken to without TLS although its cluster has it.
	Plain bool

	*state
}

// state is what is learned about a host, shared by all its Hosts.
type state struct {
	trouble atomic.Uint32 // Trouble bits
	// watch is told of changes; nil is nobody.
	watch atomic.Pointer[func(old, now Trouble)]
	since atomic.Int64 // when the host came, or came back; Unix nanoseconds
	// The counters change with every request, while balancers read what is
	// above all the time: they have a cache line of their own.
	_           [64]byte
	active      atomic.Int64
	connections atomic.Int64
	_           [48]byte
}

// Trouble is a set of reasons not to send requests to a host.
type Trouble uint32

// Reasons. Each has one owner, who alone sets and clears it.
const (
	// CheckFailed: active health checks fail.
	CheckFailed Trouble = 1 << iota
	// Ejected: too many requests failed there (outlier detection).
	Ejected
	// Isolated: a filter took the host out (fault tolerance).
	Isolated
	// Marked: whoever manages the hosts says so.
	Marked
	// ignored is set while so few hosts of the cluster are healthy that it is
	// better to use all of them (panic threshold).
	ignored
)

const anyTrouble = CheckFailed | Ejected | Isolated | Marked

// String names the reasons, separated by commas; "healthy" if there is none.
func (t Trouble) String() string {
	names := ""
	for i, name := range [...]string{"check failed", "ejected", "isolated", "marked"} {
		if t&(1<<i) != 0 {
			if names != "" {
				names += ", "
			}
			names += name
		}
	}
	if names == "" {
		return "healthy"
	}
	return names
}

// NewHost makes a Host of its configuration, sharing what was learned with
// before, which may be nil. A weight below 1 is 1.
func NewHost(c config.Host, before *Host) *Host {
	h := &Host{Address: c.Address, Hostname: c.Hostname, Weight: max(1, c.Weight), Labels: labels(c.Metadata.Labels()), Plain: c.TLSDisable}
	if before != nil {
		h.state = before.state
		return h
	}
	h.state = new(state)
	h.since.Store(time.Now().UnixNano())
	return h
}

// labels returns the labels of a map, sorted.
func labels(m map[string]string) []stream.Label {
	var list []stream.Label
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, stream.Label{Key: key, Value: m[key]})
	}
	return list
}

// Same reports whether both are the same host, perhaps of different configurations.
func (h *Host) Same(o *Host) bool { return h.state == o.state }

// Healthy reports whether nothing is known against the host.
func (h *Host) Healthy() bool { return h.Trouble() == 0 }

// Usable reports whether requests may be sent to the host: it is healthy, or
// so few are that this does not matter.
func (h *Host) Usable() bool {
	t := Trouble(h.trouble.Load())
	return t == 0 || t&ignored != 0
}

// Trouble returns what is known against the host.
func (h *Host) Trouble() Trouble { return Trouble(h.trouble.Load()) & anyTrouble }

// SetTrouble sets or clears one reason not to use the host, and reports whether
// that changed anything. A host that becomes healthy starts anew: see Since.
func (h *Host) SetTrouble(reason Trouble, on bool) bool {
	old, now := h.set(reason&anyTrouble, on)
	if old == now {
		return false
	}
	if w := h.watch.Load(); w != nil {
		(*w)(old&anyTrouble, now&anyTrouble)
	}
	return true
}

// SetPanic says whether trouble is to be passed over.
func (h *Host) SetPanic(on bool) { h.set(ignored, on) }

func (h *Host) set(bits Trouble, on bool) (old, now Trouble) {
	for {
		old = Trouble(h.trouble.Load())
		if now = old | bits; !on {
			now = old &^ bits
		}
		if old == now {
			return old, now
		}
		if old&anyTrouble != 0 && now&anyTrouble == 0 {
			h.since.Store(time.Now().UnixNano())
		}
		if h.trouble.CompareAndSwap(uint32(old), uint32(now)) {
			return old, now
		}
	}
}

// Watch has f called after each change of Trouble, in the goroutine that made
// it: f does not block. It replaces what was set before; nil is nobody.
func (h *Host) Watch(f func(old, now Trouble)) {
	if f == nil {
		h.watch.Store(nil)
		return
	}
	h.watch.Store(&f)
}

// Since returns when the host was added or became healthy again, whichever was
// later: slow start counts from then.
func (h *Host) Since() time.Time { return time.Unix(0, h.since.Load()) }

// Begin counts a request as sent to the host. Every Begin needs one End.
func (h *Host) Begin() { h.active.Add(1) }

// End counts a request as finished.
func (h *Host) End() { h.active.Add(-1) }

// Active returns how many requests are in flight to the host.
func (h *Host) Active() int { return int(h.active.Load()) }

// Connected counts a connection to the host as open. Every call needs one of
// Disconnected.
func (h *Host) Connected() { h.connections.Add(1) }

// Disconnected counts a connection as closed.
func (h *Host) Disconnected() { h.connections.Add(-1) }

// Connections returns how many connections to the host are open.
func (h *Host) Connections() int { return int(h.connections.Load()) }

// String returns the address, followed by the hostname if there is one.
func (h *Host) String() string {
	if h.Hostname == "" {
		return h.Address
	}
	return fmt.Sprintf("%s (%s)", h.Address, h.Hostname)
}
