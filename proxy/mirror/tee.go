package mirror

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Ahead is how many bytes of a body may wait for a copy's host to take them.
const Ahead = 256 << 10

var (
	errBehind = &stream.Error{Kind: stream.Overload, Op: "mirrored body", Err: errors.New("the host takes it too slowly")}
	errBroken = &stream.Error{Kind: stream.Reset, Op: "mirrored body", Err: errors.New("the original's body was not read to its end")}
	errClosed = &stream.Error{Kind: stream.Reset, Op: "mirrored body", Err: errors.New("the copy is over")}
)

// tee is the body of the original: what is read of it goes to the copies, too.
type tee struct {
	body     io.ReadCloser
	length   int64          // as stated; negative if unknown
	trailer  *stream.Header // filled when body has ended
	branches []*branch
	answer   answer

	read   int64
	closed atomic.Bool
	// block is where the copies' bytes are put, one after the other.
	block []byte
}

// blockSize is how much memory bytes that come in small pieces are given at a time.
const blockSize = 4 << 10

func newTee(req *stream.Request) *tee {
	t := &tee{body: req.Body, length: req.ContentLength, trailer: &req.Trailer}
	t.answer.t = t
	return t
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	if n > 0 {
		t.read += int64(n)
		t.pass(p[:n])
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		t.cut(io.EOF)
	default:
		t.cut(errBroken)
	}
	return n, err
}

// pass gives p to the copies that still want it. They share one copy of it.
func (t *tee) pass(p []byte) {
	var shared []byte
	for _, b := range t.branches {
		if b.wants(len(p)) {
			if shared == nil {
				shared = t.keep(p)
			}
			b.put(shared)
		}
	}
}

// keep returns a copy of p, right behind the one before if there is room.
func (t *tee) keep(p []byte) []byte {
	if cap(t.block)-len(t.block) < len(p) {
		size := int64(blockSize)
		if t.length >= 0 {
			size = min(size, t.length-t.read+int64(len(p)))
		}
		t.block = make([]byte, 0, max(int64(len(p)), size))
	}
	n := len(t.block)
	t.block = append(t.block, p...)
	return t.block[n:]
}

// cut says why nothing follows; the first call counts.
func (t *tee) cut(err error) {
	for _, b := range t.branches {
		b.cut(err, t.trailer)
	}
}

// end is the end of the exchange: nobody else reads the body any more. What is
// there of it is still for the copies, since the original may have been sent
// without being read, or has no need of the end.
func (t *tee) end() {
	if t.closed.Load() || !stream.BodyReady(t.body) {
		if t.read == t.length {
			t.cut(io.EOF)
		}
		t.cut(errBroken)
		return
	}
	buf := make([]byte, 16<<10)
	for left := Ahead; left > 0; {
		n, err := t.Read(buf)
		if left -= n; err != nil || n == 0 {
			break
		}
	}
	t.cut(errBroken)
}

// Close implements io.Closer.
func (t *tee) Close() error {
	t.closed.Store(true)
	return t.body.Close()
}

// Ready implements stream.Ready.
func (t *tee) Ready() bool { return stream.BodyReady(t.body) }

// Buffered implements stream.Buffered.
func (t *tee) Buffered() bool { return stream.BodyBuffered(t.body) }

// answer is the body of the original's answer. Its Close is the end of the exchange.
type answer struct {
	io.ReadCloser
	t *tee
}

// Ready implements stream.Ready.
func (a *answer) Ready() bool { return stream.BodyReady(a.ReadCloser) }

// Buffered implements stream.Buffered.
func (a *answer) Buffered() bool { return stream.BodyBuffered(a.ReadCloser) }

// Close implements io.Closer.
func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.t.end()
	return err
}

// branch is the body of a copy.
type branch struct {
	dst *stream.Header // the copy's trailer, filled by Read

	mu     sync.Mutex
	cond   sync.Cond // tells that something has come
	chunks [][]byte  // not read yet; shared, so never changed
	held   int       // bytes in chunks
	// err is what follows chunks; nil while more may come. If it is io.EOF,
	// trailer comes with it.
	err     error
	trailer stream.Header
	closed  bool // nobody reads any more
}

func (b *branch) init(trailer *stream.Header) {
	b.dst = trailer
	b.cond.L = &b.mu
}

// wants reports whether n more bytes can be put; if they are too many, the copy
// is broken off.
func (b *branch) wants(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.err != nil {
		return false
	}
	if b.held+n > Ahead {
		b.err, b.chunks, b.held = errBehind, nil, 0
		b.cond.Broadcast()
		return false
	}
	return true
}

func (b *branch) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.held += len(p)
	if n := len(b.chunks); n > 0 && follows(b.chunks[n-1], p) {
		last := b.chunks[n-1]
		b.chunks[n-1] = last[:len(last)+len(p)]
	} else {
		b.chunks = append(b.chunks, p)
	}
	b.cond.Broadcast()
}

// follows reports whether p stands right behind chunk in memory.
func follows(chunk, p []byte) bool {
	n := len(chunk)
	return len(p) > 0 && cap(chunk)-n >= len(p) && &chunk[:n+1][n] == &p[0]
}

func (b *branch) cut(err error, trailer *stream.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.err != nil {
		return
	}
	if b.err = err; errors.Is(err, io.EOF) {
		b.trailer.CopyFrom(trailer)
	} else {
		b.chunks, b.held = nil, 0
	}
	b.cond.Broadcast()
}

// finish is the end of the copy. It counts in behind if that was because the
// copy fell behind.
func (b *branch) finish(behind *atomic.Int64) {
	if b.dst == nil {
		return // there was no body
	}
	if _ = b.Close(); b.err == errBehind { //nolint:errorlint // the very one
		behind.Add(1)
	}
}

// Read implements io.Reader.
func (b *branch) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 && !b.closed && b.held == 0 && b.err == nil {
		b.cond.Wait()
	}
	if b.closed {
		return 0, errClosed
	}
	n := 0
	for len(b.chunks) > 0 && n < len(p) {
		m := copy(p[n:], b.chunks[0])
		if n += m; m == len(b.chunks[0]) {
			b.chunks = b.chunks[1:]
		} else {
			b.chunks[0] = b.chunks[0][m:]
		}
	}
	b.held -= n
	switch {
	case b.held > 0 || b.err == nil || len(p) == 0:
		return n, nil
	case errors.Is(b.err, io.EOF):
		b.dst.CopyFrom(&b.trailer)
	}
	return n, b.err
}

// Ready implements stream.Ready.
func (b *branch) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.err != nil
}

// Buffered implements stream.Buffered.
func (b *branch) Buffered() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.err != nil || b.held > 0
}

// Close implements io.Closer: a Read that waits returns.
func (b *branch) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.chunks, b.held = true, nil, 0
	b.cond.Broadcast()
	return nil
}
