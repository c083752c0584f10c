package cluster

import (
	"context"
	"sync"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// bonds remember to which host each connection of a caller is bound: all that
// comes by it goes there, as long as the connection to the host lasts. Whether it
// does, the pool knows (upstream.Bound).
type bonds struct {
	mu    sync.Mutex
	hosts map[stream.Caller]*upstream.Host
}

func newBonds() *bonds { return &bonds{hosts: make(map[stream.Caller]*upstream.Host)} }

// pickBound chooses the host that the caller's connection is bound to, or one
// to bind it to.
func (c *Cluster) pickBound(set *hostSet, req *stream.Request) (ch choice, s *slot, err error) {
	b := c.bonds
	b.mu.Lock()
	defer b.mu.Unlock()
	ch.reporter = set.reporter
	before, known := b.hosts[req.Caller]
	if known {
		if ch.host = set.find(before); ch.host != nil {
			s = set.slots[ch.host]
			if p, ok := s.find(req.UpstreamProtocol, c.generation()).(*upstream.Bound); ok && p.Binds(req.Caller) {
				return ch, s, nil
			}
		}
	}
	if ch.host, err = set.picker.Pick(req); err != nil {
		return ch, nil, err
	}
	s = set.slots[ch.host]
	p, err := c.pool(s, ch.host, req.UpstreamProtocol)
	if err != nil {
		return ch, s, err
	}
	if p, ok := p.(*upstream.Bound); ok {
		if err := p.Bind(req.Caller); err != nil {
			return ch, s, err
		}
	}
	b.hosts[req.Caller] = ch.host
	if caller := req.Caller; !known {
		context.AfterFunc(req.Caller.Life(), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.hosts, caller)
		})
	}
	return ch, s, nil
}

// find returns the host of the set that is the same as h, nil if there is none.
func (s *hostSet) find(h *upstream.Host) *upstream.Host {
	if s.slots[h] != nil {
		return h
	}
	for _, o := range s.hosts {
		if o.Same(h) {
			return o
		}
	}
	return nil
}
