package sequencer

import (
	"context"
	"errors"
	"fmt"
)

// Sequencer is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error; an id may be lost then.
type Sequencer interface {
	// Next returns an id that is greater than every id of this key that any
	// process got before the call began. Where a backend promises less, to give
	// each id once only, its documentation says so.
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
	// ErrInvalid: the request is wrong.
	ErrInvalid = errors.New("invalid sequencer request")
	// ErrExhausted: there is no greater id left.
	ErrExhausted = errors.New("the ids of this key are used up")
	// ErrClosed: the sequencer was closed.
	ErrClosed = errors.New("sequencer is closed")
)

// CheckKey returns an error that wraps ErrInvalid when key cannot be one.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: the key is empty", ErrInvalid)
	}
	return nil
}

// Common are settings that every sequencer has. They are the caller's, which puts
// prefixes on keys and keeps segments; a backend embeds them so that they count as
// known.
type Common struct {
	// KeyPrefix is what keys are prefixed with: none, appid (the default), name, or a text.
	KeyPrefix string `json:"keyPrefix"`
	// SegmentCacheEnable says that weak ids come from segments; false asks the
	// backend for each.
	SegmentCacheEnable bool `json:"segmentCacheEnable" default:"true"`
	// SegmentStep is how many ids a segment has.
	SegmentStep int64 `json:"segmentStep" min:"1" max:"1000000000" default:"10000"`
}
