package capability

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// maxBurst is the most bytes that pass at once under a limit.
const maxBurst = 64 << 10

// bandwidth is a limit that can be changed while content flows. The zero value
// is none. It is safe for concurrent use.
type bandwidth struct {
	limit atomic.Pointer[rate.Limiter]
}

// set changes the limit; 0 lifts it.
func (b *bandwidth) set(bitsPerSecond int64) error {
	switch {
	case bitsPerSecond < 0:
		return fmt.Errorf("%w: %d bits per second", objectstore.ErrInvalid, bitsPerSecond)
	case bitsPerSecond == 0:
		b.limit.Store(nil)
		return nil
	}
	bytes := float64(bitsPerSecond) / 8
	b.limit.Store(rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes, 1), maxBurst))))
	return nil
}

// slow returns a reader of r that keeps to the limit of the moment.
func (b *bandwidth) slow(ctx context.Context, r io.Reader) io.Reader {
	return &slowReader{ctx: ctx, b: b, r: r}
}

type slowReader struct {
	ctx context.Context
	b   *bandwidth
	r   io.Reader
}

func (s *slowReader) Read(p []byte) (int, error) {
	limit := s.b.limit.Load()
	if limit == nil {
		return s.r.Read(p)
	}
	if burst := limit.Burst(); len(p) > burst {
		p = p[:burst]
	}
	n, err := s.r.Read(p)
	if n > 0 {
		if werr := s.wait(limit, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}

// wait waits for n bytes' turn. That a deadline will come earlier is no reason
// to fail before it does, as the limit may be lifted meanwhile.
func (s *slowReader) wait(limit *rate.Limiter, n int) error {
	if err := limit.WaitN(s.ctx, n); err != nil {
		<-s.ctx.Done()
		return s.ctx.Err()
	}
	return nil
}
