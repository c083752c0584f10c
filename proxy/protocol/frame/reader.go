package frame

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const (
	// chunkSize is how many bytes are read at a time.
	chunkSize = 16 << 10
	// leastRoom is how much room is left at least when that is tried.
	leastRoom = 1 << 10
	// hold is how long a connection that was busy keeps its chunk at most; the
	// end of its listener is noticed by then.
	hold = 500 * time.Millisecond
	// maxUnsized is how much of a frame may be there without a size.
	maxUnsized = 256
)

// chunk is memory that frames are read into, several small ones or one that is
// large. It is free for the next when none of them is in use.
type chunk struct {
	buf []byte
	// refs counts the frames in use, and the reader.
	refs atomic.Int32
}

var chunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, chunkSize)} }}

// newChunk returns a chunk with room for size bytes.
func newChunk(size int) *chunk {
	var k *chunk
	if size <= chunkSize {
		k = chunks.Get().(*chunk)
	} else {
		k = &chunk{buf: make([]byte, size)}
	}
	k.refs.Store(1)
	return k
}

// release ends the use of a frame, or the reader's.
func (k *chunk) release() {
	if k.refs.Add(-1) == 0 && len(k.buf) == chunkSize {
		chunks.Put(k)
	}
}

// reader takes frames from a connection. It is for one goroutine.
type reader struct {
	c      *conn.Conn
	codec  Codec
	limits *Options
	host   bool // the connection is one to a host
	// rest waits, for as long as it takes, until there is something to read
	// when no frame has begun. The reader has no memory meanwhile.
	rest func() error

	k    *chunk // nil while nothing was read
	r, w int    // k.buf[r:w] was read and is no frame yet
	// until is the connection's read deadline as far as the reader has set it.
	until time.Time
	begun time.Time // when the reader was last woken by bytes
	// waits tells that the reader is waiting for the peer, and for nobody else;
	// midway that it does so in the middle of a frame.
	waits, midway atomic.Bool
}

// next returns the next frame in m. Who is done with it calls m.from.release.
func (r *reader) next(m *Message) error {
	var by time.Time // when the frame must be complete
	for {
		size := 0
		if have := r.w - r.r; have > 0 {
			var err error
			b := r.k.buf[r.r:r.w:r.w]
			if size, err = r.codec.Size(b); err != nil {
				return &stream.Error{Kind: stream.BadMessage, Op: "read frame", Err: err}
			}
			switch {
			case size > r.limits.MaxFrame:
				return &stream.Error{Kind: stream.TooLarge, Op: "read frame", Err: fmt.Errorf("%d bytes, more than max_frame_size (%d)", size, r.limits.MaxFrame)}
			case size < 0, size == 0 && have >= maxUnsized:
				return &stream.Error{Kind: stream.BadMessage, Op: "read frame", Err: errors.New("a head without a size")}
			case size > 0 && size <= have:
				return r.take(m, size)
			}
		}
		var err error
		switch {
		case r.w == r.r:
			err = r.between()
		case by.IsZero():
			r.midway.Store(true)
			by = time.Now().Add(r.limits.FrameTimeout)
			r.until = by
			_ = r.c.SetReadDeadline(by)
			fallthrough
		default:
			r.room(size)
			if err = r.read(); errors.Is(err, os.ErrDeadlineExceeded) {
				err = &stream.Error{Kind: stream.Timeout, Op: "read frame", Err: fmt.Errorf("it was not complete within read_frame_timeout (%v)", r.limits.FrameTimeout)}
			}
		}
		if err != nil {
			return err
		}
	}
}

// take makes a message of the next size bytes.
func (r *reader) take(m *Message, size int) error {
	m.reset()
	m.codec, m.from, m.FromHost = r.codec, r.k, r.host
	m.Frame = r.k.buf[r.r : r.r+size : r.r+size]
	if err := r.codec.Decode(m); err != nil {
		return &stream.Error{Kind: stream.BadMessage, Op: "read frame", Err: err}
	}
	r.r += size
	r.k.refs.Add(1)
	if r.midway.Load() {
		r.midway.Store(false)
	}
	return nil
}

// partial reports whether a frame has begun that is not complete.
func (r *reader) partial() bool { return r.w > r.r }

// between waits for the first bytes of a frame. While bytes keep coming that is
// one system call each.
func (r *reader) between() error {
	if r.k != nil && !r.c.Draining() {
		if r.k.refs.Load() == 1 {
			r.r, r.w = 0, 0
		}
		r.room(0)
		if now := time.Now(); r.until.Before(now.Add(hold/2)) || r.until.After(now.Add(hold)) {
			r.until = now.Add(hold)
			_ = r.c.SetReadDeadline(r.until)
		}
		if err := r.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	r.drop()
	r.until = time.Time{}
	r.waits.Store(true)
	err := r.rest()
	r.waits.Store(false)
	if err != nil {
		return err
	}
	r.room(0)
	err = r.read()
	r.c.Release()
	return err
}

// read reads what comes next into the chunk, which has room.
func (r *reader) read() error {
	r.waits.Store(true)
	n, err := r.c.Read(r.k.buf[r.w:])
	r.waits.Store(false)
	r.w += n
	if n > 0 {
		r.begun = time.Now()
		return nil // err comes again
	}
	return err
}

// room sees to it that the chunk has room to read: for a frame of this size, if
// that is known, as far as as many bytes have come already.
func (r *reader) room(size int) {
	have := r.w - r.r
	need := min(size-have, max(leastRoom, 3*have))
	if size == 0 {
		need = leastRoom
	}
	if r.k != nil && (len(r.k.buf)-r.w >= need || size > 0 && len(r.k.buf)-r.r >= size) {
		return
	}
	k := newChunk(have + need)
	if r.k != nil {
		copy(k.buf, r.k.buf[r.r:r.w])
		r.k.release()
	}
	r.k, r.r, r.w = k, 0, have
}

// drop gives the chunk back.
func (r *reader) drop() {
	if r.k != nil {
		r.k.release()
		r.k, r.r, r.w = nil, 0, 0
	}
}
