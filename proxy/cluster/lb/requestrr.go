package lb

import (
	"strconv"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// indexVariable is the variable of a request that says at which host, counted
// from 0, requestRoundRobin begins.
const indexVariable = "upstream_index"

// requestRoundRobin begins at the first host for every request; each further
// attempt takes the next. So all requests go to one host, the others stand by.
// The order is that of the configuration, whatever was before.
func requestRoundRobin() Policy {
	return PolicyFunc(func(hosts []*upstream.Host, _ Picker) Picker { return inOrder{hosts} })
}

type inOrder struct{ hosts []*upstream.Host }

// Pick implements Picker.
func (p inOrder) Pick(req *stream.Request) (*upstream.Host, error) {
	n := len(p.hosts)
	start := len(req.Tried)
	if text, ok := req.Vars.Get(indexVariable); ok {
		if i, err := strconv.ParseUint(text, 10, 31); err == nil { // anything else is 0
			start += int(i)
		}
	}
	for i := range n {
		if h := p.hosts[(start+i)%n]; usable(h, req.Tried) {
			return h, nil
		}
	}
	return last(p.hosts, req.Tried)
}
