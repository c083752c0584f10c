package subset

import (
	"sync"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// reporter is a picker that tells the Picker of a subset what became of its
// choices.
type reporter struct {
	*picker
	open map[*upstream.Host]*open // does not change
}

// open are the attempts at one host that are not over, by who chose it.
type open struct {
	mu sync.Mutex
	by []lb.Reporter
}

func newReporter(p *picker) *reporter {
	r := &reporter{picker: p, open: make(map[*upstream.Host]*open, len(p.hosts))}
	list := make([]open, len(p.hosts))
	for i, h := range p.hosts {
		r.open[h] = &list[i]
	}
	return r
}

// Pick implements lb.Picker.
func (r *reporter) Pick(req *stream.Request) (*upstream.Host, error) {
	h, by, err := r.pick(req)
	if err == nil && by.reporter != nil {
		o := r.open[h]
		o.mu.Lock()
		o.by = append(o.by, by.reporter)
		o.mu.Unlock()
	}
	return h, err
}

// Done implements lb.Reporter.
func (r *reporter) Done(host *upstream.Host, outcome lb.Outcome) {
	o := r.open[host]
	if o == nil {
		return // it is none of ours
	}
	var by lb.Reporter
	o.mu.Lock()
	if last := len(o.by) - 1; last >= 0 {
		by, o.by[last] = o.by[last], nil
		o.by = o.by[:last]
	}
	o.mu.Unlock()
	if by != nil {
		by.Done(host, outcome)
	}
}
