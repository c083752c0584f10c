// Package readtest is readers that go wrong, for the suites of stores that read
// contents. It is for tests only.
package readtest

import (
	"io"
	"strings"
)

const (
	piece = 32 << 10
	// patience is how many bytes a store may read after its context has ended.
	patience = 64 << 20
)

// Failing returns a reader of n bytes that then fails with err.
func Failing(n int, err error) io.Reader {
	return io.MultiReader(io.LimitReader(repeat{}, int64(n)), failing{err})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type repeat struct{}

func (repeat) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", piece)), nil }

// Cancelling returns a reader that calls cancel after n bytes and goes on, until
// it is clear that nobody cares.
func Cancelling(n int, cancel func()) io.Reader { return &cancelling{n, cancel} }

type cancelling struct {
	n      int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	n := min(len(p), piece)
	if c.n -= n; c.n <= 0 {
		c.cancel()
	}
	if c.n < -patience {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}
