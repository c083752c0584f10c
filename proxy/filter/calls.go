package filter

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Calls counts RPC calls. The zero value is ready to use; its methods are safe
// for concurrent use.
type Calls struct {
	mu   sync.RWMutex
	rows map[callKey]*CallCount
	// rest takes what there are no more rows for, and names that are too long.
	rest *CallCount
}

// mostCalls is how many rows there are, and one more for the rest: callers can
// ask for services and methods that do not exist.
const mostCalls = 10000

// longestCall is how long listener, service and method may be together to have a
// row, in bytes: the names are as long as callers like.
const longestCall = 1000

type callKey struct{ listener, service, method string }

// CallCount is what is counted of the calls of one method.
type CallCount struct {
	// Listener is where the calls came in. All three are "*" in the row for
	// what came after there were too many others, and for names that are too long.
	Listener, Service, Method string
	// Requests counts calls as they come. Of those that are over Succeeded
	// counts the ones whose answer says success, and Failed the others that the
	// caller was told of: not those that got no answer.
	Requests, Succeeded, Failed atomic.Int64
}

// Of returns the row for a method, to count in.
func (c *Calls) Of(listener, service, method string) *CallCount {
	key := callKey{listener, service, method}
	c.mu.RLock()
	row := c.rows[key]
	c.mu.RUnlock()
	if row != nil {
		return row
	}
	long := len(listener)+len(service)+len(method) > longestCall
	c.mu.Lock()
	defer c.mu.Unlock()
	if row = c.rows[key]; row != nil {
		return row
	}
	if long || len(c.rows) >= mostCalls {
		if c.rest == nil {
			c.rest = &CallCount{Listener: "*", Service: "*", Method: "*"}
		}
		return c.rest
	}
	row = &CallCount{Listener: strings.Clone(listener), Service: strings.Clone(service), Method: strings.Clone(method)}
	if c.rows == nil {
		c.rows = make(map[callKey]*CallCount)
	}
	c.rows[callKey{row.Listener, row.Service, row.Method}] = row
	return row
}

// All returns the rows, sorted by listener, service and method; "*" comes last.
func (c *Calls) All() []*CallCount {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]*CallCount, 0, len(c.rows)+1)
	for _, row := range c.rows {
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b *CallCount) int {
		if d := strings.Compare(a.Listener, b.Listener); d != 0 {
			return d
		}
		if d := strings.Compare(a.Service, b.Service); d != 0 {
			return d
		}
		return strings.Compare(a.Method, b.Method)
	})
	if c.rest != nil {
		list = append(list, c.rest)
	}
	return list
}
