package memory

import (
	"context"
	"math"
	"sync"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// Type is the name of this backend in a configuration.
const Type = "in-memory"

// Metadata is the configuration.
type Metadata struct {
	sequencer.Common
}

// Sequencer counts in this process. Use New. It implements sequencer.Sequencer,
// sequencer.Segmenter and sequencer.Raiser.
type Sequencer struct {
	mu      sync.Mutex
	closed  bool
	numbers map[string]int64
}

var (
	_ sequencer.Segmenter = (*Sequencer)(nil)
	_ sequencer.Raiser    = (*Sequencer)(nil)
)

// New makes a sequencer. It has no settings of its own, so it fails only when ctx
// has ended or the metadata cannot be read.
func New(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	return &Sequencer{numbers: make(map[string]int64)}, nil
}

// Next implements sequencer.Sequencer.
func (s *Sequencer) Next(ctx context.Context, key string) (int64, error) {
	return s.add(ctx, key, 1)
}

// Segment implements sequencer.Segmenter.
func (s *Sequencer) Segment(ctx context.Context, key string, size int64) (from, to int64, err error) {
	if size < 1 {
		return 0, 0, sequencer.ErrInvalid
	}
	to, err = s.add(ctx, key, size)
	return to - size + 1, to, err
}

func (s *Sequencer) add(ctx context.Context, key string, n int64) (int64, error) {
	if err := s.enter(ctx, key); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	number := s.numbers[key]
	if number > math.MaxInt64-n {
		return 0, sequencer.ErrExhausted
	}
	s.numbers[key] = number + n
	return number + n, nil
}

// Raise implements sequencer.Raiser.
func (s *Sequencer) Raise(ctx context.Context, key string, than int64) error {
	if err := s.enter(ctx, key); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.numbers[key] = max(s.numbers[key], than)
	return nil
}

// enter checks the request and takes the mutex, unless it returns an error.
func (s *Sequencer) enter(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := sequencer.CheckKey(key); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return sequencer.ErrClosed
	}
	return nil
}

// Close implements sequencer.Sequencer.
func (s *Sequencer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.numbers = true, nil
	return nil
}
