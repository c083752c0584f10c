package customtest

import (
	"context"
	"errors"
	"sync"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
)

// Counter counts, in memory. It is safe for concurrent use.
type Counter struct {
	mu     sync.Mutex
	step   int
	total  int
	closed bool
}

// CounterConfig is its `metadata` section.
type CounterConfig struct {
	Step int `json:"step" min:"1" doc:"How much each call counts."`
}

// NewCounter makes a Counter; it is the New of a row.
func NewCounter(_ context.Context, _ components.Env, cfg components.Config) (custom.Component, error) {
	c := CounterConfig{Step: 1}
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	return &Counter{step: c.Step}, nil
}

// Count counts a step and returns the sum of all.
func (c *Counter) Count() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, errors.New("the counter is closed")
	}
	c.total += c.step
	return c.total, nil
}

// Close ends it: counting is an error then. It is safe twice.
func (c *Counter) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}
