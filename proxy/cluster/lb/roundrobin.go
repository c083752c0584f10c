package lb

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// RoundRobin takes the hosts in turn, beginning anywhere: over time every
// healthy host gets the same number of requests.
func RoundRobin() Policy {
	return PolicyFunc(func(hosts []*upstream.Host, _ Picker) Picker {
		p := &roundRobin{hosts: hosts}
		p.next.Store(rand.Uint64N(1 << 32))
		return p
	})
}

type roundRobin struct {
	hosts []*upstream.Host
	next  atomic.Uint64
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
