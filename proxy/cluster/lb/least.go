package lb

import (
	"math"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// leastConfig holds the options of the balancers that go by what a host has to
// do.
type leastConfig struct {
	ChoiceCount       int     `json:"choice_count" min:"1" doc:"How many hosts are drawn, of which the one with the least load is taken, where all have the same weight."`
	ActiveRequestBias float64 `json:"active_request_bias" min:"0" doc:"How much the load counts where weights differ: 0 not at all, 1 in proportion."`
}

func defaultLeast() leastConfig { return leastConfig{ChoiceCount: 2, ActiveRequestBias: 1} }

// leastRequest goes by the requests in flight.
func leastRequest(o Options) (Policy, decode.Problems, error) {
	return leastLoaded(o, (*upstream.Host).Active)
}

// leastConnection goes by the open connections.
func leastConnection(o Options) (Policy, decode.Problems, error) {
	return leastLoaded(o, (*upstream.Host).Connections)
}

// leastLoaded draws some hosts and takes the one with the least load. Where
// weights differ, or may for a slow start, it hands out turns in proportion to
// weight / (load+1)^bias.
func leastLoaded(o Options, load func(*upstream.Host) int) (Policy, decode.Problems, error) {
	cfg, warnings, err := options(o, defaultLeast())
	if err != nil {
		return nil, warnings, err
	}
	slow, more := newSlowStart(o.SlowStart, o.Path)
	return PolicyFunc(func(hosts []*upstream.Host, before Picker) Picker {
		if slow == nil && sameWeight(hosts) {
			return &leastOf{hosts: hosts, load: load, choices: cfg.ChoiceCount, blind: cfg.ActiveRequestBias == 0}
		}
		return newSchedule(&schedule{
			hosts: hosts, timed: slow != nil, varying: true,
			worth: func(i int, now int64) float64 {
				h := hosts[i]
				return float64(h.Weight) * slow.factor(h, now) / biased(load(h), cfg.ActiveRequestBias)
			},
		}, before)
	}), append(warnings, more...), nil
}

// biased returns (load+1)^bias.
func biased(load int, bias float64) float64 {
	f := float64(max(0, load) + 1)
	if bias == 1 {
		return f
	}
	return math.Pow(f, bias)
}

type leastOf struct {
	hosts   []*upstream.Host
	load    func(*upstream.Host) int
	choices int
	blind   bool // the load does not count
}

// Pick implements Picker.
func (p *leastOf) Pick(req *stream.Request) (*upstream.Host, error) {
	h := best(p.hosts, req.Tried, p.choices, func(i int) float64 {
		if p.blind {
			return 0
		}
		return float64(p.load(p.hosts[i]))
	})
	if h == nil {
		return last(p.hosts, req.Tried)
	}
	return h, nil
}
