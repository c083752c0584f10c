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

// draws is how often to draw among n hosts for one that can be used, before
// looking at each of them: among a thousand of which one in ten can, one Pick
// in 800 has to.
func draws(n int) int { return min(8+n/16, 64) }

// dice draws numbers, two for each that the generator makes.
type dice struct {
	bits uint64
	more bool
}

// draw returns one of the numbers from 0 to n-1, for n far below 1<<32.
func (d *dice) draw(n int) int {
	if d.more = !d.more; d.more {
		d.bits = rand.Uint64()
	} else {
		d.bits >>= 32
	}
	return int(d.bits & (1<<32 - 1) * uint64(n) >> 32)
}

func (p random) Pick(req *stream.Request) (*upstream.Host, error) {
	avoid := req.Tried
	if n := len(p.hosts); n > 0 {
		var d dice
		for range draws(n) {
			if h := p.hosts[d.draw(n)]; usable(h, avoid) {
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
