// Package sequencer is the contract of makers of ids: numbers under a key, each
// greater than all that were given out before it and none given out twice.
package sequencer

import (
	"context"
	"errors"
)

// Sequencer is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error; an id may be lost then.
type Sequencer interface {
	// Next returns an id that is greater than every id of this key that any
	// process got before the call began.
	Next(ctx context.Context, key string) (int64, error)
	// Close releases everything. It is safe twice.
	Close() error
}

// Segmenter is an optional ability: many ids at once.
type Segmenter interface {
	// Segment takes size ids, from to to inclusive, that nobody else gets.
	// They may be fewer than size, but never none.
	Segment(ctx context.Context, key string, size int64) (from, to int64, err error)
}

// Raiser is an optional ability: to make the ids of a key begin higher.
type Raiser interface {
	// Raise makes every later id of key greater than than. It never lowers anything.
	Raise(ctx context.Context, key string, than int64) error
}

// Errors of a sequencer; test with errors.Is.
var (
	// ErrExhausted: there is no greater id left.
	ErrExhausted = errors.New("the ids of this key are used up")
	// ErrClosed: the sequencer was closed.
	ErrClosed = errors.New("sequencer is closed")
)
