package proxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Changes at run time that concern a part of the configuration. Those of hosts
// take effect at once and are cheap; they last until the configuration of the
// cluster itself changes. All others make a new snapshot and Apply it, whole or
// not at all; Snapshot returns what is in force.

// Snapshot returns the configuration in force. It must not be changed.
func (s *Server) Snapshot() *config.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

// SetHosts puts other hosts in the place of those that a cluster has.
func (s *Server) SetHosts(name string, hosts []config.Host) error {
	return s.changeHosts(name, hosts, func(c *cluster.Cluster) error { return c.SetHosts(hosts) })
}

// AppendHosts adds hosts to a cluster; one whose address is there already
// takes its place.
func (s *Server) AppendHosts(name string, hosts []config.Host) error {
	return s.changeHosts(name, hosts, func(c *cluster.Cluster) error { return c.AppendHosts(hosts) })
}

// RemoveHosts removes the hosts with these addresses from a cluster, as far as
// there are any.
func (s *Server) RemoveHosts(name string, addresses []string) error {
	return s.changeHosts(name, nil, func(c *cluster.Cluster) error { return c.RemoveHosts(addresses) })
}

func (s *Server) changeHosts(name string, hosts []config.Host, change func(*cluster.Cluster) error) error {
	if err := config.CheckHosts(hosts, "hosts").Err(); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	// Not while an Apply replaces the cluster: the change would be lost.
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	clusters, stopped := s.clusters, s.stopped
	s.mu.Unlock()
	if stopped {
		return errStopped
	}
	c, ok := clusters.Get(name)
	if !ok {
		return unknown("cluster", name, clusters.Names())
	}
	if c.Resolves() {
		return fmt.Errorf("cluster %s: its hosts are what DNS says (type STRICT_DNS); change its configuration instead", name)
	}
	if err := change(c); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	return nil
}

// SetCluster adds a cluster, or puts it in the place of the one with its name.
func (s *Server) SetCluster(ctx context.Context, cfg config.Cluster) error {
	return s.change(ctx, func(next *config.Snapshot) error {
		next.Clusters = set(next.Clusters, cfg, func(c config.Cluster) bool { return c.Name == cfg.Name })
		return nil
	})
}

// RemoveCluster removes a cluster. Requests of routes that lead there fail.
func (s *Server) RemoveCluster(ctx context.Context, name string) error {
	return s.change(ctx, func(next *config.Snapshot) error {
		i := slices.IndexFunc(next.Clusters, func(c config.Cluster) bool { return c.Name == name })
		if i < 0 {
			return unknown("cluster", name, names(next.Clusters, func(c config.Cluster) string { return c.Name }))
		}
		next.Clusters = slices.Delete(slices.Clone(next.Clusters), i, i+1)
		return nil
	})
}

// SetRouter adds a router, or puts it in the place of the one with its name.
func (s *Server) SetRouter(ctx context.Context, cfg config.Router) error {
	return s.change(ctx, func(next *config.Snapshot) error {
		next.Routers = set(next.Routers, cfg, func(r config.Router) bool { return r.Name == cfg.Name })
		return nil
	})
}

// AddRoute adds a route behind those of the virtual host that has this very domain.
func (s *Server) AddRoute(ctx context.Context, router, domain string, route config.Route) error {
	return s.changeRoutes(ctx, router, domain, func(routes []config.Route) []config.Route { return append(slices.Clone(routes), route) })
}

// RemoveRoutes removes all routes of the virtual host that has this very domain.
func (s *Server) RemoveRoutes(ctx context.Context, router, domain string) error {
	return s.changeRoutes(ctx, router, domain, func([]config.Route) []config.Route { return nil })
}

func (s *Server) changeRoutes(ctx context.Context, router, domain string, change func([]config.Route) []config.Route) error {
	return s.change(ctx, func(next *config.Snapshot) error {
		i := slices.IndexFunc(next.Routers, func(r config.Router) bool { return r.Name == router })
		if i < 0 {
			return unknown("router", router, names(next.Routers, func(r config.Router) string { return r.Name }))
		}
		next.Routers = slices.Clone(next.Routers)
		r := &next.Routers[i]
		r.VirtualHosts = slices.Clone(r.VirtualHosts)
		var known []string
		for j := range r.VirtualHosts {
			vh := &r.VirtualHosts[j]
			if slices.ContainsFunc(vh.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
				vh.Routes = change(vh.Routes)
				return nil
			}
			known = append(known, vh.Domains...)
		}
		return fmt.Errorf("router %s: %w", router, unknown("domain", domain, known))
	})
}

// change makes a snapshot of the one in force and puts it in force.
func (s *Server) change(ctx context.Context, edit func(next *config.Snapshot) error) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	next := *s.Snapshot()
	if err := edit(&next); err != nil {
		return err
	}
	known := s.opts.Known
	known.Paths = s.opts.Paths
	if _, errs := next.Validate(known); len(errs) > 0 {
		return errs
	}
	return s.apply(ctx, &next)
}

// set returns the list with v in the place of the entry that is meant, or behind all.
func set[T any](list []T, v T, is func(T) bool) []T {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, is); i >= 0 {
		list[i] = v
		return list
	}
	return append(list, v)
}

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = name(v)
	}
	return out
}

// unknown says that there is nothing with that name, and what there is.
func unknown(what, name string, known []string) error {
	if near := decode.Nearest(name, known); near != "" {
		return fmt.Errorf("there is no %s %q; did you mean %q?", what, name, near)
	}
	return fmt.Errorf("there is no %s %q (known: %s)", what, name, strings.Join(known, ", "))
}
