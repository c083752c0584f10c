package lb

import (
	"fmt"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Policy is a way of choosing hosts.
type Policy interface {
	// Picker returns a Picker among hosts, which may be empty. It is called
	// for each new set of hosts; before is the Picker of the set before, from
	// the same policy or another, or nil: what it has learned about hosts that
	// stay (upstream.Host.Same), and where it stands, is taken over. before may
	// still be in use for a while. The Picker may keep the slice; nobody
	// changes it.
	Picker(hosts []*upstream.Host, before Picker) Picker
}

// PolicyFunc lets a function be a Policy.
type PolicyFunc func(hosts []*upstream.Host, before Picker) Picker

// Picker calls f.
func (f PolicyFunc) Picker(hosts []*upstream.Host, before Picker) Picker { return f(hosts, before) }

// Picker chooses among the hosts it was made for.
type Picker interface {
	// Pick returns a usable host (upstream.Host.Usable) for one attempt of the
	// request. It does not block, and is safe for concurrent use with
	// different requests.
	//
	// A host whose address is in req.Tried is taken only if no other is usable.
	//
	// The error is a *stream.Error of kind NoHost. It does not name the
	// cluster, which the Picker does not know.
	Pick(req *stream.Request) (*upstream.Host, error)
}

// Reporter is a Picker that learns from what became of its choices. Done is
// called once for each Pick that returned a host, when that attempt is over;
// it does not block, and is safe for concurrent use.
type Reporter interface {
	Picker
	Done(host *upstream.Host, outcome Outcome)
}

// Outcome is what became of an attempt.
type Outcome struct {
	// Err is nil when there was a response.
	Err error
	// Status is the HTTP status of the response, or the one that its own status
	// stands for, where its protocol has some (gRPC, RPC); 0 if there was none.
	Status int
	// Duration is the time from the Pick until the end of the response.
	Duration time.Duration
}

// usable reports whether h can be picked, given the addresses to avoid.
func usable(h *upstream.Host, avoid []string) bool {
	return h.Usable() && (len(avoid) == 0 || !slices.Contains(avoid, h.Address))
}

// last returns the host that is to be avoided, because nothing else can be
// picked: the one tried longest ago. Or it says why none can be picked.
func last(hosts []*upstream.Host, avoid []string) (*upstream.Host, error) {
	for _, address := range avoid {
		for _, h := range hosts {
			if h.Address == address && h.Usable() {
				return h, nil
			}
		}
	}
	err := &stream.Error{Kind: stream.NoHost, Retry: true, Op: "the cluster has no hosts"}
	switch n := len(hosts); {
	case n == 1:
		err.Op = fmt.Sprintf("the only host, %s, is not healthy (%s)", hosts[0], hosts[0].Trouble())
	case n > 1:
		err.Op = fmt.Sprintf("none of the %d hosts is healthy", n)
	}
	return nil, err
}
