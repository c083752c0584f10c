package stream

import (
	"slices"
	"strings"
	"time"
)

// Policy is what a route says about the way to a host. It is made once, when
// the configuration is compiled, shared by all requests of the route, and never
// changes. The zero value asks for nothing.
type Policy struct {
	// Retry says when to send a request again; nil is never.
	Retry *Retry
	// TryTimeout is the most time for one attempt, body included; 0 is no limit
	// but that of the whole exchange.
	TryTimeout time.Duration
	// Mirrors are the clusters that get a copy of the request.
	Mirrors []Mirror
	// AutoHost replaces Authority by the name of the host that is chosen.
	AutoHost bool
	// Filters holds what the route has to say to filters, by their type, in the
	// form that the filter's Spec made of it.
	Filters map[string]any
}

// Filter returns what the route says to the filter of that type; nil if nothing.
func (p *Policy) Filter(name string) any {
	if p == nil {
		return nil
	}
	return p.Filters[name]
}

// Retry says when, and how often, a request is sent again. A request whose body
// cannot be sent a second time never is.
type Retry struct {
	// Max is the most attempts after the first.
	Max int
	// On holds the conditions.
	On RetryOn
	// Statuses are the HTTP statuses that RetryStatus means; empty: 500 to 599.
	Statuses []int
	// GRPC are the gRPC status codes that RetryGRPC means.
	GRPC []int
	// Base and Cap bound the back-off: before attempt n+1 a random time below
	// min(Cap, Base * 2^(n-1)) passes. Base 0 is none.
	Base, Cap time.Duration
}

// RetryOn is a set of conditions for a retry.
type RetryOn uint16

// Conditions.
const (
	// RetryConnect: nothing of the request reached a host (Error.Retry, of kind
	// Connect, NoHost, Overload at the host, Stopping).
	RetryConnect RetryOn = 1 << iota
	// RetryReset: the connection ended before the response began, and sending
	// again cannot do the request twice (Error.Retry).
	RetryReset
	// RetryResetAny: the same, even if the request may be done twice.
	RetryResetAny
	// RetryTry: an attempt passed its TryTimeout, and the request is idempotent.
	RetryTry
	// RetryTryAny: the same, even if the request may be done twice.
	RetryTryAny
	// RetryStatus: the response has one of Statuses.
	RetryStatus
	// RetryGRPC: the response has one of the gRPC status codes, in its head.
	RetryGRPC
)

// Mirror is a cluster that gets copies of requests.
type Mirror struct {
	Cluster string
	// Percent of the requests are copied, 0 to 100.
	Percent float64
	// Copies is how many each gets, at least 1.
	Copies int
	// Broadcast sends the copy to every host of the cluster.
	Broadcast bool
}

// Label is one item of a host's metadata, or a demand for it.
type Label struct{ Key, Value string }

// SortLabels sorts labels by key, the order that Request.Labels has.
func SortLabels(labels []Label) {
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
}

// Vars are values that filters note on a request for others by name. The zero
// value is empty, ready to use; it is not safe for concurrent use.
type Vars struct{ list []Field }

// Get returns the value of a name, and whether it has one. Names are compared exactly.
func (v *Vars) Get(name string) (string, bool) {
	for i := range v.list {
		if v.list[i].Name == name {
			return v.list[i].Value, true
		}
	}
	return "", false
}

// Set gives a name a value, in place of one it had.
func (v *Vars) Set(name, value string) {
	for i := range v.list {
		if v.list[i].Name == name {
			v.list[i].Value = value
			return
		}
	}
	v.list = append(v.list, Field{name, value})
}

// Reset forgets all values, keeping the memory.
func (v *Vars) Reset() {
	clear(v.list)
	v.list = v.list[:0]
}
