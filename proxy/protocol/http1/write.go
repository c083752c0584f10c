package http1

import (
	"bufio"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
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

// writeRequestHead writes a request's head. bufio keeps the first write error
// for Flush.
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
	case requestKind(req) == bodyChunked:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
	case req.Body != nil:
		writeLength(w, req.ContentLength)
	case methodTakesBody(req.Method):
		writeLength(w, 0)
	}
	if offersUpgrade(req) {
		writeUpgrade(w, req.Upgrade)
	}
	_, _ = w.WriteString("\r\n")
}

// requestKind returns how a request's body is framed.
func requestKind(req *stream.Request) bodyKind {
	switch {
	case req.Body == nil:
		return bodyNone
	case req.ContentLength < 0 || req.ContentLength > 0 && announcesTrailer(&req.Header):
		return bodyChunked
	}
	return bodyLength
}

// announcesTrailer reports whether trailers are to come. Only behind chunks is
// there a place for them, though HTTP/2 also has them where the length is known.
func announcesTrailer(h *stream.Header) bool {
	_, ok := h.Lookup("Trailer")
	return ok
}

// methodTakesBody reports whether a request of this method without a body
// says so by a length of 0 (RFC 9110 section 8.6).
func methodTakesBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// writeResponseHead writes the head of the answer to a request of this method.
// date is what to write where the answer has no Date. It returns how the body
// is framed.
func writeResponseHead(w *bufio.Writer, method string, resp *stream.Response, date string, http10, closing bool) bodyKind {
	writeStatusLine(w, resp.Status)
	if _, ok := resp.Header.Lookup("Date"); !ok {
		// A recipient with a clock adds what the origin left out (RFC 9110 section 6.6.1).
		writeField(w, "Date", date)
	}
	writeFields(w, &resp.Header)
	kind := bodyNone
	switch {
	case semantics.NoBody(method, resp.Status):
		if resp.ContentLength >= 0 && resp.Status != 204 && resp.Status >= 200 && (method == "HEAD" || resp.ContentLength > 0) {
			writeLength(w, resp.ContentLength)
		}
	case resp.Body == nil:
		writeLength(w, 0)
	case resp.ContentLength >= 0 && (http10 || resp.ContentLength == 0 || !announcesTrailer(&resp.Header)):
		writeLength(w, resp.ContentLength)
		kind = bodyLength
	case http10:
		kind, closing = bodyClose, true
	default:
		_, _ = w.WriteString("Transfer-Encoding: chunked\r\n")
		kind = bodyChunked
	}
	if resp.Status == http.StatusUpgradeRequired && resp.Upgrade != "" && !http10 {
		writeUpgrade(w, resp.Upgrade)
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

// clock tells the value of Date. It makes a new one when the second is over.
type clock struct {
	now atomic.Pointer[dateText]
}

type dateText struct {
	second int64
	text   string
}

func (c *clock) date(at time.Time) string {
	d := c.now.Load()
	if d == nil || d.second != at.Unix() {
		d = &dateText{second: at.Unix(), text: at.UTC().Format(http.TimeFormat)}
		c.now.Store(d)
	}
	return d.text
}
