package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/mirror"
)

// ClusterStatus is what is known about one cluster.
type ClusterStatus struct {
	Name   string
	Hosts  []HostStatus
	Limits cluster.Limits
	// Closed counts the connections for requests to its hosts that have ended, by cause.
	Closed [conn.CauseCount]int64
}

// HostStatus is what is known about one host of a cluster.
type HostStatus struct {
	Address, Hostname string
	Weight            int
	// Health is "healthy", or why requests are not sent there.
	Health string
	// Since is when the host was added or became healthy again.
	Since time.Time
	// Active requests and open Connections.
	Active, Connections int
}

// Copies tells what became of the copies of requests that routes have sent to
// other clusters (request_mirror_policies). They are read, not changed.
func (s *Server) Copies() *mirror.Counters { return &s.copies }

// Calls tells of the RPC calls that a filter has counted (dubbo_stream). They are
// read, not changed.
func (s *Server) Calls() *filter.Calls { return &s.calls }

// Clusters tells about all clusters, sorted by name, their hosts in the order
// of the configuration.
func (s *Server) Clusters() []ClusterStatus {
	s.mu.Lock()
	manager := s.clusters
	s.mu.Unlock()
	if manager == nil {
		return nil
	}
	var list []ClusterStatus
	for _, c := range manager.All() {
		st := ClusterStatus{Name: c.Name(), Limits: c.Limits(), Closed: c.Closed()}
		for _, h := range c.Hosts() {
			st.Hosts = append(st.Hosts, HostStatus{
				Address: h.Address, Hostname: h.Hostname, Weight: h.Weight, Health: h.Trouble().String(), Since: h.Since(),
				Active: h.Active(), Connections: h.Connections(),
			})
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b ClusterStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}
