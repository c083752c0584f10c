package upstream

import (
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Host is one address that requests can be sent to, and what is known about
// it. The exported fields do not change; the methods are safe for concurrent
// use. A new Host is healthy.
type Host struct {
	// Address is where to connect to, "host:port".
	Address string
	// Hostname is a name for records; it may be empty.
	Hostname string
	// Weight is the host's share among others, at least 1.
	Weight int

	unhealthy atomic.Bool
	// active changes with every request, while balancers read the fields
	// above all the time: it has a cache line of its own.
	_      [64]byte
	active atomic.Int64
	_      [56]byte
}

// NewHost makes a Host of its configuration. A weight below 1 is 1.
func NewHost(c config.Host) *Host {
	return &Host{Address: c.Address, Hostname: c.Hostname, Weight: max(1, c.Weight)}
}

// Healthy reports whether requests may be sent to the host.
func (h *Host) Healthy() bool { return !h.unhealthy.Load() }

// SetHealthy says whether requests may be sent to the host.
func (h *Host) SetHealthy(ok bool) {
	if h.Healthy() != ok {
		h.unhealthy.Store(!ok)
	}
}

// Begin counts a request as sent to the host. Every Begin needs one End.
func (h *Host) Begin() { h.active.Add(1) }

// End counts a request as finished.
func (h *Host) End() { h.active.Add(-1) }

// Active returns how many requests are in flight to the host.
func (h *Host) Active() int { return int(h.active.Load()) }

// String returns the address, followed by the hostname if there is one.
func (h *Host) String() string {
	if h.Hostname == "" {
		return h.Address
	}
	return h.Address + " (" + h.Hostname + ")"
}
