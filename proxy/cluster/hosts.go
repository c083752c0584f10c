package cluster

import (
	"reflect"
	"slices"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// hostSet is what a cluster's requests see of its hosts. It does not change.
type hostSet struct {
	configs []config.Host
	hosts   []*upstream.Host
	slots   map[*upstream.Host]*slot
	picker  lb.Picker
	// reporter is the picker if it learns, else nil.
	reporter lb.Reporter
}

// newSet makes the set for hosts, taking over from before, which may be nil,
// what is known about hosts that stay, and, if keep, the connections to them.
func (c *Cluster) newSet(configs []config.Host, before *hostSet, keep bool) *hostSet {
	set := &hostSet{configs: configs, hosts: make([]*upstream.Host, len(configs)), slots: make(map[*upstream.Host]*slot, len(configs))}
	known := before.byAddress()
	for i := range configs {
		cfg := &configs[i]
		places := known[cfg.Address]
		// Of several hosts with the same address, rather the very same one.
		j := slices.IndexFunc(places, func(j int) bool { return reflect.DeepEqual(before.configs[j], *cfg) })
		switch {
		case j >= 0:
			set.hosts[i] = before.hosts[places[j]]
		case len(places) > 0:
			j = 0
			set.hosts[i] = upstream.NewHost(*cfg, before.hosts[places[0]])
		default:
			set.hosts[i] = upstream.NewHost(*cfg, nil)
		}
		if j >= 0 {
			old := before.hosts[places[j]]
			if keep && old.Plain == set.hosts[i].Plain {
				set.slots[set.hosts[i]] = before.slots[old]
			}
			known[cfg.Address] = slices.Delete(places, j, j+1)
		}
		if set.slots[set.hosts[i]] == nil {
			set.slots[set.hosts[i]] = newSlot(inUse)
		}
	}
	var old lb.Picker
	if before != nil {
		old = before.picker
	}
	set.picker = c.policy.Picker(set.hosts, old)
	set.reporter, _ = set.picker.(lb.Reporter)
	return set
}

// byAddress returns the places of the hosts by address.
func (s *hostSet) byAddress() map[string][]int {
	places := make(map[string][]int)
	if s != nil {
		for i, h := range s.configs {
			places[h.Address] = append(places[h.Address], i)
		}
	}
	return places
}

// SetHosts puts other hosts in the place of those that there are. Requests
// under way finish where they are; connections to, and all that is known
// about, hosts that stay are kept. The cluster keeps the slice. Of a cluster
// that was retired nothing changes, and the error says so.
func (c *Cluster) SetHosts(hosts []config.Host) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	return c.setHosts(hosts)
}

// AppendHosts adds hosts; one whose address is there already takes its place.
func (c *Cluster) AppendHosts(hosts []config.Host) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	list := slices.Clone(c.set.Load().configs)
	for _, h := range hosts {
		if i := slices.IndexFunc(list, func(o config.Host) bool { return o.Address == h.Address }); i >= 0 {
			list[i] = h
		} else {
			list = append(list, h)
		}
	}
	return c.setHosts(list)
}

// RemoveHosts removes the hosts with these addresses, as far as there are any.
func (c *Cluster) RemoveHosts(addresses []string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	list := slices.DeleteFunc(slices.Clone(c.set.Load().configs), func(h config.Host) bool {
		return slices.Contains(addresses, h.Address)
	})
	return c.setHosts(list)
}

// setHosts is SetHosts; changing is held.
func (c *Cluster) setHosts(hosts []config.Host) error {
	if c.state != inUse {
		return errEnded
	}
	before := c.set.Load()
	next := c.newSet(hosts, before, true)
	c.set.Store(next)
	if c.started {
		c.watch(next)
	}
	before.end(retired, next)
	return nil
}

// end lets go of the connections that next, which may be nil, did not take over.
func (s *hostSet) end(to state, next *hostSet) {
	kept := make(map[*slot]bool)
	if next != nil {
		for _, slot := range next.slots {
			kept[slot] = true
		}
	}
	for _, slot := range s.slots {
		if !kept[slot] {
			slot.end(to)
		}
	}
}
