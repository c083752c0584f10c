package upstream

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Spread sends requests to one end over up to opts.MaxConnections shared
// connections, and always over the same one what comes by the same connection
// of a caller. Requests that came by none take turns. All methods are safe for
// concurrent use.
type Spread struct {
	opts  PoolOptions
	turns atomic.Uint64

	mu    sync.RWMutex
	lanes map[uint64]*Shared // of one connection each
	state poolState
}

// NewSpread makes a Spread. It opens nothing yet.
func NewSpread(opts PoolOptions) *Spread {
	return &Spread{opts: opts, lanes: make(map[uint64]*Shared)}
}

// Handle implements stream.Handler.
func (s *Spread) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	var number uint64
	if req.Caller != nil {
		number = req.Caller.Number()
	} else {
		number = s.turns.Add(1)
	}
	return s.lane(number%uint64(s.opts.MaxConnections)).Handle(ctx, req)
}

func (s *Spread) lane(number uint64) *Shared {
	s.mu.RLock()
	lane := s.lanes[number]
	s.mu.RUnlock()
	if lane != nil {
		return lane
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lane = s.lanes[number]; lane == nil {
		opts := s.opts
		opts.MaxConnections = 1
		lane = NewShared(opts)
		s.lanes[number] = lane
		lane.enter(s.state)
	}
	return lane
}

// enter puts a new Shared into a state.
func (s *Shared) enter(state poolState) {
	switch state {
	case poolOpen:
	case poolDraining:
		s.Drain()
	case poolClosed:
		s.Close()
	}
}

// Drain implements Sender.
func (s *Spread) Drain() { s.end(poolDraining) }

// Close implements Sender.
func (s *Spread) Close() { s.end(poolClosed) }

func (s *Spread) end(state poolState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = max(s.state, state)
	for _, lane := range s.lanes {
		lane.enter(s.state)
	}
}

// Stats implements Sender.
func (s *Spread) Stats() (open, idle int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, lane := range s.lanes {
		o, i := lane.Stats()
		open, idle = open+o, idle+i
	}
	return open, idle
}
