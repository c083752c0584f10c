package http1

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// maxChunkLine limits a chunk's size line with its extensions, in bytes,
// maxTrailerLine one line of a trailer section, and maxTrailer all of it. A
// line must fit into the read buffer.
const (
	maxChunkLine   = 256
	maxTrailerLine = conn.BufferSize
	maxTrailer     = 16 << 10
)

// bodyKind says where a body ends.
type bodyKind uint8

const (
	bodyNone    bodyKind = iota
	bodyLength           // after so many bytes
	bodyChunked          // after the last chunk and the trailer
	bodyClose            // when the peer closes
	bodyRaw              // when the peer ends its direction; no message of ours, but another protocol
)

// bodyReader reads a message's body from a connection up to its end.
// It is used by one goroutine at a time.
type bodyReader struct {
	c    *conn.Conn
	kind bodyKind
	// left is what remains of the body (bodyLength) or of the chunk at hand.
	left int64
	// inChunk: the CRLF after the chunk at hand is still to be read.
	inChunk bool
	trailer *stream.Header
	err     error // io.EOF once the end was reached
}

func (b *bodyReader) reset(c *conn.Conn, kind bodyKind, length int64, trailer *stream.Header) {
	*b = bodyReader{c: c, kind: kind, left: length, trailer: trailer}
	if kind == bodyNone || kind == bodyLength && length == 0 {
		b.err = io.EOF
	}
	if kind == bodyChunked {
		b.left = 0
	}
}

// done reports whether the end of the body was reached.
func (b *bodyReader) done() bool { return b.err == io.EOF } //nolint:errorlint // never wrapped, and asked for often

// ready reports whether the rest of the body is in the buffer already.
func (b *bodyReader) ready() bool {
	switch {
	case b.done():
		return true
	case b.kind == bodyLength:
		return int64(b.c.Reader().Buffered()) >= b.left
	case b.kind == bodyChunked:
		_, end := b.ahead(true)
		return end
	}
	return false
}

// buffered reports whether a read returns without waiting for the peer.
func (b *bodyReader) buffered() bool {
	switch {
	case b.err != nil:
		return true
	case b.kind == bodyRaw: // held or not, it is passed on as it comes
		return false
	case b.kind == bodyChunked && b.left == 0:
		data, end := b.ahead(false)
		return data || end
	}
	return b.c.Reader().Buffered() > 0
}

// ahead looks at what is in the buffer of a chunked body, without reading it:
// is there data, and the body's end? Bytes that are no chunk count as both,
// since reading them fails at once. Without all it stops at the first data.
func (b *bodyReader) ahead(all bool) (data, end bool) {
	br := b.c.Reader()
	buf, _ := br.Peek(br.Buffered())
	left, inChunk := b.left, b.inChunk
	for {
		if left > 0 {
			data = data || len(buf) > 0
			if int64(len(buf)) < left || !all {
				return data, false
			}
			buf = buf[left:]
		}
		if inChunk {
			if len(buf) < 2 {
				return data, false
			}
			buf = buf[2:]
		}
		eol := bytes.IndexByte(buf, '\n')
		if eol < 0 && len(buf) < maxChunkLine {
			return data, false
		}
		size, ok := int64(0), false
		if eol > 0 {
			size, ok = parseChunkSize(view(buf[:eol-1]))
		}
		if !ok {
			return true, true
		}
		buf = buf[eol+1:]
		if size == 0 {
			whole := bytes.HasPrefix(buf, crlf) || bytes.Contains(buf, crlfcrlf) || len(buf) > maxTrailer
			return data || whole, whole
		}
		left, inChunk = size, true
	}
}

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

func (b *bodyReader) read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.step(p)
	b.err = err
	if n > 0 && !b.done() {
		return n, nil // the error comes with the next call
	}
	return n, err
}

func (b *bodyReader) step(p []byte) (int, error) {
	if b.kind == bodyRaw {
		n, err := b.c.Read(p)
		b.c.Release() // what came early has a buffer, what comes now needs none
		return n, err
	}
	br := b.c.Reader()
	switch b.kind {
	case bodyClose:
		return br.Read(p)
	case bodyChunked:
		if b.left == 0 {
			if err := b.nextChunk(); err != nil {
				return 0, err
			}
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := br.Read(p)
	b.left -= int64(n)
	switch {
	case b.left == 0 && b.kind == bodyLength:
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk reads up to the first byte of the next chunk's data; io.EOF means
// that the last chunk and the trailer were read (RFC 9112 section 7.1).
func (b *bodyReader) nextChunk() error {
	if b.inChunk {
		line, err := b.line(2)
		if err != nil {
			return err
		}
		if line != "" {
			return errChunk
		}
	}
	line, err := b.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, ok := parseChunkSize(line)
	if !ok {
		return errChunk
	}
	if size > 0 {
		b.left, b.inChunk = size, true
		return nil
	}
	return b.readTrailer()
}

var errChunk = bad("malformed chunk")

func (b *bodyReader) readTrailer() error {
	for total := 0; ; {
		line, err := b.line(min(maxTrailer-total, maxTrailerLine))
		if err != nil {
			return err
		}
		if line == "" {
			return io.EOF
		}
		total += len(line) + 2
		name, value, refused := splitField(b.trailer.Intern([]byte(line))) // line is gone with the next read
		if refused != nil {
			return refused
		}
		if b.trailer.Len() >= maxFields {
			return bad("too many trailer fields")
		}
		if !forbiddenTrailer(name) {
			b.trailer.Add(name, value)
		}
	}
}

// line reads a line ended by CRLF of at most limit bytes and returns it
// without its end, as a view of the buffer that is valid until the next read.
func (b *bodyReader) line(limit int) (string, error) {
	br := b.c.Reader()
	for n := 1; ; n++ {
		n = max(n, min(br.Buffered(), limit))
		buf, err := br.Peek(n)
		if i := strings.IndexByte(view(buf), '\n'); i >= 0 {
			if i == 0 || buf[i-1] != '\r' {
				return "", bad("a line is not ended by CRLF")
			}
			_, _ = br.Discard(i + 1)
			return view(buf[:i-1]), nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		}
		if n >= limit {
			return "", errChunk
		}
	}
}

// parseChunkSize parses a chunk's size line: hexadecimal digits, then nothing
// or an extension, which is checked and ignored.
func parseChunkSize(line string) (int64, bool) {
	digits, extension, _ := strings.Cut(line, ";")
	// Blanks before the ";" are bad whitespace that a recipient may accept (RFC
	// 9112 section 7.1.1); different readers disagree, so we do not.
	if digits == "" || len(digits) > 15 || !validValue(extension) {
		return 0, false
	}
	var n int64
	for i := 0; i < len(digits); i++ {
		var d byte
		switch c := digits[i]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c && c <= 'f':
			d = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			d = c - 'A' + 10
		default:
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}
