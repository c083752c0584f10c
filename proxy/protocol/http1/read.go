package http1

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// fasthttp's parsers, kept because they hold buffers of their own.
var (
	requestParsers = sync.Pool{New: func() any {
		h := new(fasthttp.RequestHeader)
		h.DisableNormalizing()
		return h
	}}
	responseParsers = sync.Pool{New: func() any {
		h := new(fasthttp.ResponseHeader)
		h.DisableNormalizing()
		return h
	}}
)

// peekHead waits until c's read buffer holds a whole head and returns it, with
// its empty line. The bytes are valid until the next read. io.EOF means that
// the peer ended the connection before a head began, io.ErrUnexpectedEOF that
// it did so inside one. beforeWait, which may be nil, is called once if the
// head is not there already; the read deadline that it sets is taken away.
func peekHead(c *conn.Conn, limit int, beforeWait func()) ([]byte, error) {
	seen, waited := 0, false
	for {
		br := c.Reader()
		if n := br.Buffered(); n > seen {
			buf, _ := br.Peek(n)
			end, refused := endOfHead(buf, seen)
			if refused != nil {
				return nil, refused
			}
			if end > limit || end == 0 && n > limit {
				return nil, &badMessage{status: 431, reason: "header too large"}
			}
			if end > 0 {
				if waited {
					_ = c.SetReadDeadline(time.Time{})
				}
				return buf[:end], nil
			}
			seen = n
		}
		if !waited && beforeWait != nil {
			waited = true
			beforeWait()
		}
		_, err := br.Peek(seen + 1)
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			// One byte more than the limit, so that passing it is seen.
			c.Grow(min(max(2*br.Size(), 8<<10), limit+1))
		case errors.Is(err, io.EOF) && seen > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// readRequest reads a request head from c into req and f; see peekHead.
func readRequest(c *conn.Conn, limit int, beforeWait func(), req *stream.Request, f *framing) error {
	head, err := peekHead(c, limit, beforeWait)
	if err != nil {
		return err
	}
	text := req.Header.Intern(head)
	eol := strings.Index(text, "\r\n")
	line, refused := scanRequestLine(text[:eol])
	req.Method = line.method
	f.http10 = line.http10
	if refused != nil {
		return refused
	}
	if refused := scanFields(text[eol+2:len(text)-2], &req.Header, f); refused != nil {
		return refused
	}
	if f.host == "" && !f.http10 {
		return bad("no Host field, or an empty one")
	}
	if req.Scheme == "" {
		req.Scheme = "http"
	}
	req.Authority = f.host
	if refused := splitTarget(line, req); refused != nil {
		return refused
	}

	parser := requestParsers.Get().(*fasthttp.RequestHeader)
	defer requestParsers.Put(parser)
	// Reading also takes the head out of the buffer.
	br := c.Reader()
	after := br.Buffered() - len(head)
	if err := parser.Read(br); err != nil {
		return bad("malformed header")
	}
	if br.Buffered() != after || string(parser.Method()) != line.method || string(parser.RequestURI()) != line.target ||
		!sameFraming(parser.ContentLength(), f) {
		return bad("ambiguous header")
	}
	return nil
}

// skipEmptyLine skips one empty line before a request (RFC 9112 section 2.2)
// and reports whether there was one. The connection must have a byte to read;
// beforeWait is called if it needs a second.
func skipEmptyLine(c *conn.Conn, beforeWait func()) (bool, error) {
	br := c.Reader()
	first, err := br.Peek(1)
	if err != nil || first[0] != '\r' {
		return false, err
	}
	if br.Buffered() < 2 {
		beforeWait()
		defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	}
	two, err := br.Peek(2)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil || two[1] != '\n' {
		return false, err
	}
	_, err = br.Discard(2)
	return true, err
}

// sameFraming reports whether fasthttp's idea of a message's length (-1
// chunked, -2 none given) is ours.
func sameFraming(length int, f *framing) bool {
	switch {
	case f.chunked:
		return length == -1
	case f.length >= 0:
		return int64(length) == f.length
	}
	return length == -2
}

// splitTarget fills Path, Query and, for the absolute form, Scheme and
// Authority (RFC 9112 section 3.2).
func splitTarget(line requestLine, req *stream.Request) *badMessage {
	target := line.target
	switch {
	case line.method == "CONNECT":
		return &badMessage{status: 501, reason: "CONNECT is not supported"}
	case target == "*":
		if line.method != "OPTIONS" {
			return bad("request target * without OPTIONS")
		}
		req.Path = "*"
		return nil
	case target[0] != '/':
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok || !stream.EqualName(scheme, "http") && !stream.EqualName(scheme, "https") {
			return bad("malformed request target")
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		// The target counts, not Host (RFC 9112 section 3.2.2).
		req.Scheme, req.Authority, target = strings.ToLower(scheme), rest[:end], rest[end:]
		if req.Authority == "" || !validHost(req.Authority) || strings.IndexByte(req.Authority, '%') >= 0 {
			return bad("malformed host in the request target")
		}
		switch {
		case target == "" && line.method == "OPTIONS":
			req.Path = "*" // it asks about the host as a whole (RFC 9112 section 3.2.4)
			return nil
		case target == "" || target[0] == '?':
			target = "/" + target
		}
	}
	if i := strings.IndexByte(target, '#'); i >= 0 {
		return bad("fragment in the request target")
	}
	req.Path, req.Query, req.HasQuery = strings.Cut(target, "?")
	return nil
}

// readResponse reads one response head, be it informational, from c.
func readResponse(c *conn.Conn, limit int, resp *stream.Response, f *framing) error {
	head, err := peekHead(c, limit, nil)
	if err != nil {
		return err
	}
	text := resp.Header.Intern(head)
	eol := strings.Index(text, "\r\n")
	status, http10, refused := scanStatusLine(text[:eol])
	if refused != nil {
		return refused
	}
	resp.Status, f.http10, f.response = status, http10, true
	if refused := scanFields(text[eol+2:len(text)-2], &resp.Header, f); refused != nil {
		return refused
	}

	parser := responseParsers.Get().(*fasthttp.ResponseHeader)
	defer responseParsers.Put(parser)
	br := c.Reader()
	after := br.Buffered() - len(head)
	if err := parser.Read(br); err != nil {
		return bad("malformed header")
	}
	if br.Buffered() != after || parser.StatusCode() != status || !sameFraming(parser.ContentLength(), f) {
		return bad("ambiguous header")
	}
	return nil
}

func (f *framing) reset() {
	clear(f.connection)
	*f = framing{connection: f.connection[:0], length: -1}
}
