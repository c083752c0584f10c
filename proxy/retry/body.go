package retry

import (
	"errors"
	"io"
	"sync"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// KeepLimit is the largest body, in bytes, that is kept to be sent again.
const KeepLimit = 64 << 10

// firstKeep is how much memory a body of unknown length is given at first.
const firstKeep = 2 << 10

// maxEmptyReads is how often a body may return neither bytes nor an error.
const maxEmptyReads = 100

// body is a request's body, which attempts read one after the other.
//
// An attempt may end while its client waits for bytes that the caller has not
// sent yet. That wait is therefore not the client's own: a goroutine reads on
// (fill), and what it gets is there for the next attempt.
type body struct {
	orig    io.ReadCloser  // the caller's; nil if there is no body
	length  int64          // as stated; negative if unknown
	trailer *stream.Header // filled when orig has ended

	mu   sync.Mutex
	cond sync.Cond // tells that filling has become false, or an attempt was cut
	// kept is what was read so far. It grows at its end only.
	kept []byte
	// err is why nothing follows kept; io.EOF if it is all.
	err   error
	empty int // reads that returned nothing, one after the other
	// filling: fill is at work.
	filling bool
	// direct: attempts read orig themselves, nothing is kept; used: one has
	// begun to.
	direct, used bool

	fillFunc func() // fill, as a value that is made once
	now      *view
	first    view
}

func (b *body) init() {
	b.cond.L = &b.mu
	b.fillFunc = b.fill
}

// begin takes the body of a request. keep: it may have to be sent again.
func (b *body) begin(req *stream.Request, keep bool) {
	b.orig, b.length, b.trailer = req.Body, req.ContentLength, &req.Trailer
	b.direct = !keep || b.length > KeepLimit
}

// reset forgets the body, and keeps the memory. Nobody uses it.
func (b *body) reset() {
	b.kept = b.kept[:0]
	b.orig, b.trailer, b.err, b.empty, b.now, b.first = nil, nil, nil, 0, nil, view{}
	b.direct, b.used = false, false
}

// attempt returns the body for a new attempt, from its start; nil if there is
// none. Trailers are put into trailer at its end. The attempt before is cut.
func (b *body) attempt(trailer *stream.Header) io.ReadCloser {
	if b.orig == nil {
		return nil
	}
	b.cut()
	v := &b.first
	if b.now != nil {
		v = new(view) // what the attempt before has stays cut
	}
	b.now = v
	v.b, v.trailer = b, trailer
	return v
}

// cut keeps the attempt at hand from reading on.
func (b *body) cut() {
	if b.now == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.cut = true
	b.cond.Broadcast()
}

// replayable reports whether the body can be read from its start again.
func (b *body) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return false
	}
	return !b.used
}

// end returns when nobody reads the caller's body any more on our behalf.
func (b *body) end() {
	b.cut()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.filling {
		return
	}
	b.mu.Unlock()
	_ = b.orig.Close() // the Read that waits returns
	b.mu.Lock()
	for b.filling {
		b.cond.Wait()
	}
}

// room returns where to read to. mu is held, and filling is not set.
func (b *body) room() []byte {
	if n := len(b.kept); n == cap(b.kept) {
		size := max(2*n, firstKeep)
		if b.length >= 0 {
			size = int(b.length) + 1 // one more, to notice the end with the last byte
		}
		// One byte more than is kept shows that a body is too long.
		grown := make([]byte, n, max(n+1, min(size, KeepLimit+1)))
		copy(grown, b.kept)
		b.kept = grown
	}
	return b.kept[len(b.kept):min(cap(b.kept), KeepLimit+1)]
}

// took notes what a read into room returned. mu is held.
func (b *body) took(n int, err error) {
	b.kept = b.kept[:len(b.kept)+n]
	switch {
	case err != nil:
		b.err = err
	case n > 0:
		b.empty = 0
	default:
		if b.empty++; b.empty >= maxEmptyReads {
			b.err = io.ErrNoProgress
		}
	}
}

// fill reads what comes next.
func (b *body) fill() {
	b.mu.Lock()
	room := b.room()
	b.mu.Unlock()
	n, err := b.orig.Read(room)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took(n, err)
	b.filling = false
	b.cond.Broadcast()
}

// view is the body of one attempt.
type view struct {
	b       *body
	trailer *stream.Header
	pos     int // how much of b.kept was read
	cut     bool
}

var errCut = &stream.Error{Kind: stream.Reset, Op: "read request body", Err: errors.New("the attempt is over")}

// Read implements io.Reader.
func (v *view) Read(p []byte) (int, error) {
	b := v.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case v.cut:
			return 0, errCut
		case len(p) == 0:
			return 0, nil
		case b.direct:
			b.used = true
			b.mu.Unlock()
			n, err := b.orig.Read(p)
			b.mu.Lock()
			return n, v.ended(err)
		case v.pos < len(b.kept):
			n := copy(p, b.kept[v.pos:])
			if v.pos += n; v.pos == len(b.kept) && errors.Is(b.err, io.EOF) {
				return n, v.ended(io.EOF)
			}
			return n, nil
		case b.err != nil:
			return 0, v.ended(b.err)
		case b.filling:
			b.cond.Wait()
		case len(b.kept) > KeepLimit: // too much, which is all with the host now
			b.direct, b.used = true, true
			b.kept = nil
		case stream.BodyBuffered(b.orig):
			b.took(b.orig.Read(b.room()))
		default:
			b.filling = true
			go b.fillFunc()
		}
	}
}

// ended passes the trailers on, if err is the end.
func (v *view) ended(err error) error {
	if err != nil && errors.Is(err, io.EOF) {
		v.trailer.CopyFrom(v.b.trailer)
	}
	return err
}

// Ready implements stream.Ready.
func (v *view) Ready() bool {
	b := v.b
	b.mu.Lock()
	defer b.mu.Unlock()
	return v.cut || b.err != nil || !b.filling && stream.BodyReady(b.orig)
}

// Buffered implements stream.Buffered.
func (v *view) Buffered() bool {
	b := v.b
	b.mu.Lock()
	defer b.mu.Unlock()
	return v.cut || b.err != nil || !b.direct && v.pos < len(b.kept) || !b.filling && stream.BodyBuffered(b.orig)
}

// Close implements io.Closer: a Read that waits returns.
func (v *view) Close() error {
	b := v.b
	b.mu.Lock()
	defer b.mu.Unlock()
	v.cut = true
	b.cond.Broadcast()
	if b.direct && b.used {
		// Nobody else will read it, and who reads it now is to stop.
		return b.orig.Close()
	}
	return nil
}
