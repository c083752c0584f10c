package lb

import (
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// RoundRobin takes the hosts in turn, beginning anywhere: over time every
// healthy host gets the same number of requests. A new set of hosts goes on
// where the one before stood, in its order; new hosts come in between.
func RoundRobin() Policy {
	return PolicyFunc(func(hosts []*upstream.Host, before Picker) Picker { return newRoundRobin(hosts, before) })
}

type roundRobin struct {
	hosts []*upstream.Host
	_     [40]byte // next changes with every Pick: it has a cache line of its own
	next  atomic.Uint64
	_     [56]byte
}

func newRoundRobin(hosts []*upstream.Host, before Picker) *roundRobin {
	p := &roundRobin{hosts: make([]*upstream.Host, len(hosts))}
	for i, t := range takeOver(hosts, before) {
		p.hosts[i] = hosts[t.place]
	}
	return p
}

// Pick draws numbers from one sequence, each of which stands for a host, and
// passes over those whose host can't be used. As every number is drawn once,
// the neighbour of an unhealthy host gets no more than the others.
func (p *roundRobin) Pick(req *stream.Request) (*upstream.Host, error) {
	n := uint64(len(p.hosts))
	if n == 0 {
		return last(nil, nil)
	}
	avoid := req.Tried
	if h := p.hosts[(p.next.Add(1)-1)%n]; usable(h, avoid) {
		return h, nil
	}
	const contended = 8 // so often others were faster
	for range contended {
		from := p.next.Load()
		k := p.search(from, avoid)
		if k == n {
			return last(p.hosts, avoid)
		}
		if p.next.CompareAndSwap(from, from+k+1) {
			return p.hosts[(from+k)%n], nil
		}
	}
	for range n {
		if h := p.hosts[(p.next.Add(1)-1)%n]; usable(h, avoid) {
			return h, nil
		}
	}
	// Others have drawn the numbers of the usable hosts meanwhile.
	if k := p.search(0, avoid); k < n {
		return p.hosts[k], nil
	}
	return last(p.hosts, avoid)
}

// search returns how many numbers there are from one on until that of a host
// that can be used; as many as hosts if there is none.
func (p *roundRobin) search(from uint64, avoid []string) uint64 {
	n := uint64(len(p.hosts))
	i := from % n
	for k := range n {
		if usable(p.hosts[i], avoid) {
			return k
		}
		if i++; i == n {
			i = 0
		}
	}
	return n
}

func (p *roundRobin) upcoming() []upcoming {
	n := len(p.hosts)
	turns := make([]upcoming, n)
	next := p.next.Load()
	for i := range turns {
		turns[i] = upcoming{p.hosts[(next+uint64(i))%uint64(n)], float64(i) / float64(n)}
	}
	return turns
}
