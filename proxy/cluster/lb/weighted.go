package lb

import (
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// weighted takes the hosts in turn, each as often as its weight says, its turns
// evenly apart. Where all weights are equal, and there is no slow start to make
// them differ, that is round robin.
func weighted(o Options) (Policy, decode.Problems, error) {
	_, warnings, err := options(o, none{})
	if err != nil {
		return nil, warnings, err
	}
	slow, more := newSlowStart(o.SlowStart, o.Path)
	return PolicyFunc(func(hosts []*upstream.Host, before Picker) Picker {
		if slow == nil && sameWeight(hosts) {
			return newRoundRobin(hosts, before)
		}
		return newSchedule(&schedule{
			hosts: hosts, timed: slow != nil, varying: slow != nil,
			worth: func(i int, now int64) float64 { return float64(hosts[i].Weight) * slow.factor(hosts[i], now) },
		}, before)
	}), append(warnings, more...), nil
}
