package cluster

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Manager holds the clusters of one configuration. It does not change.
type Manager struct{ clusters map[string]*Cluster }

// NewManager makes all clusters, taking over from before, which may be nil,
// what did not change. On an error nothing of before has changed. path leads
// to the list of clusters, for messages.
func NewManager(list []config.Cluster, tables Tables, before *Manager, path string) (*Manager, error) {
	m := &Manager{clusters: make(map[string]*Cluster, len(list))}
	var problems decode.Problems
	for i, cfg := range list {
		var old *Cluster
		if before != nil {
			old = before.clusters[cfg.Name]
		}
		if old != nil && reflect.DeepEqual(old.cfg, cfg) {
			m.clusters[cfg.Name] = old
			continue
		}
		at := decode.At(path, i)
		c, _, err := New(cfg, tables, old, at) // warnings were given by Validate
		if err != nil {
			problems = append(problems, decode.AsProblems(err, at)...)
			continue
		}
		m.clusters[cfg.Name] = c
	}
	return m, problems.Err()
}

// Start begins what goes on in the background of the clusters that are new. It
// ends with ctx.
func (m *Manager) Start(ctx context.Context) {
	for _, c := range m.clusters {
		c.Start(ctx)
	}
}

// Get returns the cluster of that name.
func (m *Manager) Get(name string) (*Cluster, bool) {
	c, ok := m.clusters[name]
	return c, ok
}

// Cluster returns the cluster of that name as a handler.
func (m *Manager) Cluster(name string) (stream.Handler, bool) {
	c, ok := m.clusters[name]
	if !ok {
		return nil, false
	}
	return c, true
}

// Each returns a handler for each usable host of the cluster; nil if there is none.
func (m *Manager) Each(name string) []stream.Handler {
	if c, ok := m.clusters[name]; ok {
		return c.Each()
	}
	return nil
}

// Hosts counts the hosts of a cluster, and those of them that are isolated.
func (m *Manager) Hosts(name string) (all, isolated int) {
	if c, ok := m.clusters[name]; ok {
		for _, h := range c.Hosts() {
			all++
			if h.Trouble()&upstream.Isolated != 0 {
				isolated++
			}
		}
	}
	return all, isolated
}

// Usable reports whether the cluster is there and has a host that requests may be
// sent to, as far as is known; one that finds its hosts by the request has.
func (m *Manager) Usable(name string) bool {
	c, ok := m.clusters[name]
	return ok && c.usable()
}

// Isolate takes the host with that address out of use for d. It reports
// whether there is one, and it was not isolated before.
func (m *Manager) Isolate(name, address string, d time.Duration) bool {
	c, ok := m.clusters[name]
	if !ok {
		return false
	}
	for _, h := range c.Hosts() {
		if h.Address == address && h.SetTrouble(upstream.Isolated, true) {
			time.AfterFunc(d, func() { h.SetTrouble(upstream.Isolated, false) })
			return true
		}
	}
	return false
}

// All returns all clusters, in no order.
func (m *Manager) All() []*Cluster { return slices.Collect(maps.Values(m.clusters)) }

// Names returns the names of all clusters, sorted.
func (m *Manager) Names() []string { return slices.Sorted(maps.Keys(m.clusters)) }

// Retire lets go of what next, the manager in this one's place, did not take
// over; next may be nil.
func (m *Manager) Retire(next *Manager) {
	for name, c := range m.clusters {
		var n *Cluster
		if next != nil {
			n = next.clusters[name]
		}
		if n != c {
			c.Retire(n)
		}
	}
}

// Close closes all connections; requests in flight fail.
func (m *Manager) Close() {
	for _, c := range m.clusters {
		c.Close()
	}
}
