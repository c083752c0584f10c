package lb

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// maglev takes the same host for the same hash, as long as it can be used, and
// moves few of the others when hosts come or go: Eisenbud et al., "Maglev",
// NSDI 2016, section 3.4. Requests without a hash go anywhere, in proportion to
// the weights all the same.
//
// The table does not depend on the order of the hosts, nor on the process. It
// has room for maglevLarge hosts: with more, every Pick fails.
func maglev() Policy {
	return PolicyFunc(func(hosts []*upstream.Host, before Picker) Picker {
		p := &hashed{random: random{hosts}, hosts: slices.SortedStableFunc(slices.Values(hosts), func(a, b *upstream.Host) int {
			return strings.Compare(a.Address, b.Address)
		})}
		if old, ok := before.(*hashed); ok && old.table.serves(p.hosts) {
			p.table = old.table
		} else {
			p.table = newMaglevTable(p.hosts)
		}
		return p
	})
}

type hashed struct {
	random random
	hosts  []*upstream.Host // by address
	table  *maglevTable
}

// Pick implements Picker. From the slot of the hash, it walks through the
// table, in steps that depend on the hash, so that the requests of a host that
// can't be used spread over all others, each always to the same one.
func (p *hashed) Pick(req *stream.Request) (*upstream.Host, error) {
	t, hash := p.table, req.Hash
	switch {
	case len(p.hosts) < 2, !req.Hashed && t.size == 0:
		return p.random.Pick(req)
	case !req.Hashed:
		hash = rand.Uint64()
	case t.size == 0:
		return nil, &stream.Error{Kind: stream.NoHost, Op: fmt.Sprintf(
			"LB_MAGLEV cannot serve %d hosts, only %d: use another lb_type, or subsets", len(p.hosts), maglevLarge)}
	}
	slot := hash % t.size
	if h := p.hosts[t.host(slot)]; usable(h, req.Tried) {
		return h, nil
	}
	step := 1 + mix(hash)%(t.size-1) // size is prime: every slot is reached
	for range draws(len(p.hosts)) {
		if slot += step; slot >= t.size {
			slot -= t.size
		}
		if h := p.hosts[t.host(slot)]; usable(h, req.Tried) {
			return h, nil
		}
	}
	// Few hosts can be used: the one that comes first when hash and host
	// together say when each comes, one of twice the weight in half the time.
	var choice *upstream.Host
	first := 0.0
	for i, h := range p.hosts {
		if !usable(h, req.Tried) {
			continue
		}
		part := (float64(mix(hash^t.hosts[i].hash)>>11) + 0.5) / (1 << 53) // above 0, below 1
		if when := -math.Log(part) / float64(h.Weight); choice == nil || when < first {
			choice, first = h, when
		}
	}
	if choice != nil {
		return choice, nil
	}
	return last(p.random.hosts, req.Tried)
}

// Sizes of the table: primes, the large one for maglevMany hosts or more.
const (
	maglevSmall = 65537
	maglevLarge = 655373
	maglevMany  = 30000
)

// maglevTable leads from slots to hosts, which are numbers in a list. It does
// not change.
type maglevTable struct {
	hosts []maglevHost
	size  uint64 // 0: too many hosts
	small []uint16
	large []uint32
}

type maglevHost struct {
	address string
	weight  int
	hash    uint64
}

// host returns the host of a slot below size.
func (t *maglevTable) host(slot uint64) int {
	if t.small != nil {
		return int(t.small[slot])
	}
	return int(t.large[slot])
}

// serves reports whether t is the table for hosts.
func (t *maglevTable) serves(hosts []*upstream.Host) bool {
	return slices.EqualFunc(t.hosts, hosts, func(a maglevHost, b *upstream.Host) bool {
		return a.address == b.Address && a.weight == b.Weight
	})
}

// newMaglevTable makes the table for hosts, which are sorted.
func newMaglevTable(hosts []*upstream.Host) *maglevTable {
	t := &maglevTable{hosts: make([]maglevHost, len(hosts))}
	for i, h := range hosts {
		t.hosts[i] = maglevHost{h.Address, h.Weight, hashOf(h.Address)}
	}
	switch n := len(hosts); {
	case n < 2 || n > maglevLarge: // needs none; gets none
	case n < maglevMany:
		t.size, t.small = maglevSmall, make([]uint16, maglevSmall)
		fill(t.small, t.hosts)
	default:
		t.size, t.large = maglevLarge, make([]uint32, maglevLarge)
		fill(t.large, t.hosts)
	}
	return t
}

// fill deals out the slots. Every host has a list of all slots in an order of
// its own, given by where it begins and by how far it steps. In each round a
// host takes the first slot of its list that is free; one of less than the
// highest weight sits out as many rounds as that makes.
func fill[T uint16 | uint32](slots []T, hosts []maglevHost) {
	type list struct {
		at, step     uint32
		weight, owed int
	}
	size := uint32(len(slots))
	lists := make([]list, len(hosts))
	highest := 0
	for i, h := range hosts {
		lists[i] = list{at: uint32(h.hash % uint64(size)), step: uint32(1 + mix(h.hash)%uint64(size-1)), weight: h.weight}
		highest = max(highest, h.weight)
	}
	free := ^T(0) // there are fewer hosts than that
	for i := range slots {
		slots[i] = free
	}
	for left := size; ; {
		for i := range lists {
			l := &lists[i]
			if l.owed += l.weight; l.owed < highest {
				continue
			}
			l.owed -= highest
			at := l.at
			for slots[at] != free {
				if at += l.step; at >= size {
					at -= size
				}
			}
			slots[at] = T(i)
			if left--; left == 0 {
				return
			}
			l.at = at
		}
	}
}

// hashOf returns a hash of text that is the same in every process.
func hashOf(text string) uint64 {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 0x100000001b3
	}
	return mix(h)
}

// mix returns a number of which every bit depends on every bit of h, and from
// which h follows (the end of MurmurHash3, in the variant of splitmix64).
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
