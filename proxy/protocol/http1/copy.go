package http1

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// copySize is how much of a body is moved at a time.
const copySize = 32 << 10

// A chunk is framed in place: room for its size line before, its CRLF behind.
const (
	chunkHead = 6 // "8000\r\n" is the longest
	chunkTail = 2
)

type copyBuffer [chunkHead + copySize + chunkTail]byte

var copyBuffers = sync.Pool{New: func() any { return new(copyBuffer) }}

// errShortBody is a body that ended before its stated length was reached, and
// errLongBody one that goes on after it.
var (
	errShortBody = errors.New("the body is shorter than its Content-Length")
	errLongBody  = errors.New("the body is longer than its Content-Length")
)

// readError marks an error that came from the body's source, not from the
// connection it was written to.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// copyBody writes body to c, framed as kind says, and flushes what stands in
// c's write buffer with it: small messages leave in one write. What arrives is
// passed on at once, the head too, unless more is there to be read. n counts
// body bytes; ended, which may be nil, is set when the body was read to its end.
func copyBody(c *conn.Conn, body io.Reader, kind bodyKind, length int64, trailer *stream.Header, ended *atomic.Bool) (n int64, err error) {
	w := c.Writer()
	if kind == bodyNone || kind == bodyLength && length == 0 {
		if ended != nil {
			ended.Store(true)
		}
		return 0, w.Flush()
	}
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	for empty := 0; ; {
		if !stream.BodyBuffered(body) {
			if err := w.Flush(); err != nil {
				return n, err
			}
		}
		room := buf[chunkHead : chunkHead+copySize]
		if kind == bodyLength {
			// One byte more than may come, to notice a body that is too long.
			room = buf[chunkHead : chunkHead+1+min(copySize, length-n)]
		}
		m, rerr := body.Read(room)
		n += int64(m)
		last := rerr == io.EOF
		switch {
		case kind == bodyLength && n > length:
			return n, &readError{errLongBody}
		case rerr != nil && !last:
			if m > 0 {
				_, _ = w.Write(framed(buf, m, kind))
			}
			_ = w.Flush()
			return n, &readError{rerr}
		case kind == bodyLength && n == length:
			last = true
		case kind == bodyLength && last:
			_ = w.Flush()
			return n, &readError{errShortBody}
		case m == 0 && !last:
			if empty++; empty >= maxEmptyReads {
				return n, &readError{io.ErrNoProgress}
			}
			continue
		}
		empty = 0
		if last && ended != nil {
			ended.Store(true)
		}
		if m > 0 {
			if _, err := w.Write(framed(buf, m, kind)); err != nil {
				return n, err
			}
		}
		if last {
			if kind == bodyChunked {
				writeLastChunk(w, trailer)
			}
			return n, w.Flush()
		}
	}
}

// maxEmptyReads is how often a body may return neither bytes nor an error.
const maxEmptyReads = 100

// framed returns the m bytes of body in buf, as a chunk if kind says so.
func framed(buf *copyBuffer, m int, kind bodyKind) []byte {
	if kind != bodyChunked {
		return buf[chunkHead : chunkHead+m]
	}
	var line [chunkHead]byte
	head := append(strconv.AppendInt(line[:0], int64(m), 16), '\r', '\n')
	start := chunkHead - len(head)
	copy(buf[start:], head)
	end := chunkHead + m
	buf[end], buf[end+1] = '\r', '\n'
	return buf[start : end+chunkTail]
}

func writeLastChunk(w *bufio.Writer, trailer *stream.Header) {
	_, _ = w.WriteString("0\r\n")
	if trailer != nil && checkFields(trailer) == nil {
		for i := range trailer.Len() {
			if f := trailer.At(i); !forbiddenTrailer(f.Name) {
				writeField(w, f.Name, f.Value)
			}
		}
	}
	_, _ = w.WriteString("\r\n")
}
