package proxytest

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
)

// period is the length of what a Pattern repeats: a prime, so that a piece that
// is lost, doubled or in the wrong place shows, whatever the sizes of pieces.
const period = 65521

// pattern holds two periods, so that any stretch of one is in it as it is.
var pattern = func() []byte {
	b := make([]byte, 2*period)
	x := uint32(1)
	for i := range period {
		x = x*1664525 + 1013904223
		b[i], b[i+period] = byte(x>>24), byte(x>>24)
	}
	return b
}()

// Pattern is a body of known bytes that counts how many were taken from it.
type Pattern struct {
	size  int64
	given atomic.Int64
	over  atomic.Bool
}

// NewPattern makes a body of size bytes.
func NewPattern(size int64) *Pattern { return &Pattern{size: size} }

// Given returns how many bytes were taken so far.
func (p *Pattern) Given() int64 { return p.given.Load() }

// Closed reports whether Close was called.
func (p *Pattern) Closed() bool { return p.over.Load() }

// Read implements io.Reader.
func (p *Pattern) Read(b []byte) (n int, err error) {
	at := p.given.Load()
	for n < len(b) && at < p.size {
		from := at % period
		k := copy(b[n:min(int64(len(b)), int64(n)+p.size-at)], pattern[from:from+period])
		n, at = n+k, at+int64(k)
	}
	if p.given.Store(at); at == p.size {
		err = io.EOF
	}
	return n, err
}

// Buffered reports that a Read does not wait.
func (p *Pattern) Buffered() bool { return true }

// Close implements io.Closer.
func (p *Pattern) Close() error {
	p.over.Store(true)
	return nil
}

// CheckPattern reads r to its end and compares it with a Pattern from byte at
// on. It returns how many bytes were right.
func CheckPattern(r io.Reader, at int64) (n int64, err error) {
	buf := make([]byte, 32<<10)
	for {
		k, err := r.Read(buf)
		for b := buf[:k]; len(b) > 0; {
			from := (at + n) % period
			m := min(len(b), period)
			if !bytes.Equal(b[:m], pattern[from:from+int64(m)]) {
				return n, fmt.Errorf("the bytes from %d on are not those that were sent", at+n)
			}
			n, b = n+int64(m), b[m:]
		}
		if err == io.EOF { // a wrapped io.EOF is not the end of a body
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
