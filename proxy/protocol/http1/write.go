package http1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// errField is a field of our own making that cannot be written.
var errField = errors.New("a header field name or value has characters that HTTP does not allow")

// checkFields reports whether all fields can be written. Fields that came off
// the wire can; those a filter or a caller within the process made may not.
func checkFields(h *stream.Header) error {
	for i := range h.Len() {
		if f := h.At(i); !isToken(f.Name) || !validValue(f.Value) {
			return errField
		}
	}
	return nil
}

func writeFields(w *bufio.Writer, h *stream.Header) {
	for i := range h.Len() {
		f := h.At(i)
		if special(f.Name) != fieldOther {
			continue // ours to write
		}
		writeField(w, f.Name, f.Value)
	}
}

func writeField(w *bufio.Writer, name, value string) {
	_, _ = w.WriteString(name)
	_, _ = w.WriteString(": ")
	_, _ = w.WriteString(value)
	_, _ = w.WriteString("\r\n")
}

func writeLength(w *bufio.Writer, n int64) {
	_, _ = w.WriteString("Content-Length: ")
	_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), n, 10))
	_, _ = w.WriteString("\r\n")
}

// writeRequestHead writes a request's head. chunked says how a body of
// unknown length is framed. bufio keeps the first write error for Flush.
func writeRequestHead(w *bufio.Writer, req *stream.Request) {
	_, _ = w.WriteString(req.Method)
	_ = w.WriteByte(' ')
	_, _ = w.WriteString(req.Path)
	if req.HasQuery {
		_ = w.WriteByte('?')
		_, _ = w.WriteString(req.Query)
	}
	_, _ = w.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = w.WriteString(req.Authority)
	_, _ = w.WriteString("\r\n")
	writeFields(w, &req.Header)
	switch {
	case req.Body != nil && req.ContentLength < 0:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
	case req.Body != nil || methodTakesBody(req.Method):
		writeLength(w, max(req.ContentLength, 0))
	}
	_, _ = w.WriteString("\r\n")
}

// methodTakesBody reports whether a request of this method without a body
// says so by a length of 0 (RFC 9110 section 8.6).
func methodTakesBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// noBody reports whether an answer with this status, to this method, has no
// body whatever its fields say (RFC 9112 section 6.3).
func noBody(method string, status int) bool {
	return method == "HEAD" || status == 204 || status == 304 || status < 200
}

// writeResponseHead writes an answer's head. It returns how its body is framed.
func writeResponseHead(w *bufio.Writer, req *stream.Request, resp *stream.Response, http10, closing bool) bodyKind {
	writeStatusLine(w, resp.Status)
	if _, ok := resp.Header.Lookup("Date"); !ok {
		// A recipient with a clock adds what the origin left out (RFC 9110 section 6.6.1).
		writeField(w, "Date", date())
	}
	writeFields(w, &resp.Header)
	kind := bodyNone
	switch {
	case noBody(req.Method, resp.Status):
		if resp.ContentLength >= 0 && resp.Status != 204 && resp.Status >= 200 && (req.Method == "HEAD" || resp.ContentLength > 0) {
			writeLength(w, resp.ContentLength)
		}
	case resp.Body == nil:
		writeLength(w, 0)
	case resp.ContentLength >= 0:
		writeLength(w, resp.ContentLength)
		kind = bodyLength
	case http10:
		kind, closing = bodyClose, true
	default:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
		kind = bodyChunked
	}
	switch {
	case closing:
		_, _ = w.WriteString("Connection: close\r\n")
	case http10:
		_, _ = w.WriteString("Connection: keep-alive\r\n")
	}
	_, _ = w.WriteString("\r\n")
	return kind
}

func writeStatusLine(w *bufio.Writer, status int) {
	_, _ = w.WriteString("HTTP/1.1 ")
	_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(status), 10))
	_ = w.WriteByte(' ')
	_, _ = w.WriteString(http.StatusText(status))
	_, _ = w.WriteString("\r\n")
}

// dateNow caches the Date field's value of one second.
type dateNow struct {
	second int64
	text   string
}

var dates atomic.Pointer[dateNow]

func date() string {
	now := time.Now()
	if d := dates.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &dateNow{second: now.Unix(), text: now.UTC().Format(http.TimeFormat)}
	dates.Store(d)
	return d.text
}

// copySize is how much of a body is moved at a time.
const copySize = 32 << 10

// A chunk is framed in place: room for its size line before, its CRLF behind.
const (
	chunkHead = 6 // "8000\r\n" is the longest
	chunkTail = 2
)

var copyBuffers = sync.Pool{New: func() any { return new([chunkHead + copySize + chunkTail]byte) }}

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
// passed on at once unless more is there to be read. n counts body bytes.
func copyBody(c *conn.Conn, body io.Reader, kind bodyKind, length int64, trailer *stream.Header) (n int64, err error) {
	w := c.Writer()
	if kind == bodyNone || kind == bodyLength && length == 0 {
		return 0, w.Flush()
	}
	buf := copyBuffers.Get().(*[chunkHead + copySize + chunkTail]byte)
	defer copyBuffers.Put(buf)
	for {
		room := buf[chunkHead : chunkHead+copySize]
		if kind == bodyLength && int64(len(room)) > length-n {
			room = room[:length-n+1] // one more, to notice a body that is too long
		}
		m, rerr := body.Read(room)
		n += int64(m)
		last := rerr == io.EOF
		switch {
		case rerr != nil && !last:
			_ = w.Flush()
			return n, &readError{rerr}
		case kind == bodyLength && n > length:
			return n, &readError{errLongBody}
		case kind == bodyLength && n == length:
			last = true
		case kind == bodyLength && last:
			return n, &readError{errShortBody}
		}
		if m > 0 {
			_, err = w.Write(framed(buf, m, kind))
		}
		if last {
			if kind == bodyChunked {
				writeLastChunk(w, trailer)
			}
			return n, w.Flush()
		}
		if err == nil && !more(body) {
			err = w.Flush()
		}
		if err != nil {
			return n, err
		}
	}
}

// framed returns the m bytes of body in buf, as a chunk if kind says so.
func framed(buf *[chunkHead + copySize + chunkTail]byte, m int, kind bodyKind) []byte {
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

// more reports whether body has bytes that can be read without waiting.
func more(body io.Reader) bool {
	b, ok := body.(interface{ Buffered() bool })
	return ok && b.Buffered() || stream.BodyReady(body)
}
