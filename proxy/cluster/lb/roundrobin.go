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
	avoid := req.Tried
	for range n {
		if h := p.hosts[(p.next.Add(1)-1)%n]; usable(h, avoid) {
			return h, nil
		}
	}
	// Others may have drawn the numbers of the usable hosts meanwhile.
	for _, h := range p.hosts {
		if usable(h, avoid) {
			return h, nil
		}
	}
	return last(p.hosts, avoid)
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
