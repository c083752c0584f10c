package lb

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// queue is a Picker that hands out turns.
type queue interface {
	// upcoming returns the hosts, each once, in the order in which their next
	// turns come.
	upcoming() []upcoming
}

// upcoming is the next turn of a host.
type upcoming struct {
	host *upstream.Host
	// wait is how far away it is, as a part of the time between two turns of
	// this host: from 0 to 1.
	wait float64
}

// next is the next turn of the host at a place in the list.
type next struct {
	place int
	wait  float64 // see upcoming
}

// takeOver returns the turns of hosts, the first one first: those of hosts that
// stay as in before, those of new ones anywhere in between. Without a queue
// before, the order is that of the list and the beginning is anywhere.
func takeOver(hosts []*upstream.Host, before Picker) []next {
	n := len(hosts)
	turns := make([]next, n)
	q, ok := before.(queue)
	if !ok {
		start := rand.IntN(max(1, n))
		for i := range turns {
			turns[i] = next{(start + i) % n, (float64(i) + rand.Float64()) / float64(n)}
		}
		return turns
	}
	old := q.upcoming()
	names := make([]*upstream.Host, len(old))
	for i, t := range old {
		names[i] = t.host
	}
	rank := make([]int, n) // of those that wait equally long, the first in before is the first
	for i, j := range match(hosts, names) {
		if turns[i], rank[i] = (next{i, rand.Float64()}), len(old); j >= 0 {
			turns[i].wait, rank[i] = old[j].wait, j
		}
	}
	slices.SortStableFunc(turns, func(a, b next) int {
		return cmp.Or(cmp.Compare(a.wait, b.wait), cmp.Compare(rank[a.place], rank[b.place]))
	})
	return turns
}

// match finds each of hosts again among old: its index there, or -1 for a new
// one. None of old is found twice.
func match(hosts, old []*upstream.Host) []int {
	known := make(map[string][]int, len(old))
	for i, h := range old {
		known[h.Address] = append(known[h.Address], i)
	}
	found := make([]int, len(hosts))
	for i, h := range hosts {
		found[i] = -1
		candidates := known[h.Address]
		for k, j := range candidates {
			if old[j].Same(h) {
				found[i] = j
				known[h.Address] = slices.Delete(candidates, k, k+1)
				break
			}
		}
	}
	return found
}

// sameWeight reports whether all hosts have the same weight.
func sameWeight(hosts []*upstream.Host) bool {
	for _, h := range hosts {
		if h.Weight != hosts[0].Weight {
			return false
		}
	}
	return true
}
