package lb

import (
	"math/rand/v2"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Random takes any healthy host, all with the same probability.
func Random() Policy {
	return PolicyFunc(func(hosts []*upstream.Host, _ Picker) Picker { return random{hosts} })
}

type random struct{ hosts []*upstream.Host }

// draws is how often Pick draws among all hosts before it looks at each of
// them: where half are healthy, one Pick in 256 has to.
const draws = 8

func (p random) Pick(req *stream.Request) (*upstream.Host, error) {
	avoid := req.Tried
	if len(p.hosts) > 0 {
		for range draws {
			if h := p.hosts[rand.IntN(len(p.hosts))]; usable(h, avoid) {
				return h, nil
			}
		}
	}
	// One pass, without counting first: the i-th usable host replaces the
	// choice so far with probability 1/i, which leaves each of them equally
	// likely, even if health changes on the way.
	var choice *upstream.Host
	seen := 0
	for _, h := range p.hosts {
		if usable(h, avoid) {
			if seen++; rand.IntN(seen) == 0 {
				choice = h
			}
		}
	}
	if choice != nil {
		return choice, nil
	}
	return last(p.hosts, avoid)
}
