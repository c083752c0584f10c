package http2

import (
	"io"
	"strings"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// block is a header block as it was decoded. Only the session's reader uses it.
type block struct {
	decoder *hpack.Decoder
	fields  []hpack.HeaderField
	// size is the list's size (RFC 9113 section 6.5.2), up to limit.
	size, limit int
	// tooLarge: the limit was passed; the fields are not all here.
	tooLarge bool
	bytes    int
	frames   int
}

func (b *block) init(limit int) {
	b.limit = limit
	b.decoder = newDecoder(b.emit)
	// A longer string than the whole list may be cannot be decoded and
	// ignored, as the table would be out of step: it ends the connection.
	b.decoder.SetMaxStringLength(4 * limit)
}

func (b *block) emit(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + 32
	if b.size > b.limit || len(b.fields) >= maxFields {
		b.tooLarge = true
		b.decoder.SetEmitEnabled(false)
		return
	}
	b.fields = append(b.fields, f)
}

func (b *block) begin() {
	clear(b.fields)
	b.fields = b.fields[:0]
	b.size, b.bytes, b.frames, b.tooLarge = 0, 0, 0, false
	b.decoder.SetEmitEnabled(true)
}

// add decodes a fragment.
func (b *block) add(p []byte) error {
	b.frames++
	b.bytes += len(p)
	// What is sent is never much longer than what it stands for.
	if b.frames > maxBlockFrames || b.bytes > 2*b.limit {
		return &connError{xhttp2.ErrCodeEnhanceYourCalm, "a header block is too large"}
	}
	if _, err := b.decoder.Write(p); err != nil {
		return &connError{xhttp2.ErrCodeCompression, "malformed header block"}
	}
	return nil
}

// indexed is a header block of one field of the static table.
var indexed = []byte{0x82}

// quiet lets go of what is not needed until the next block.
func (b *block) quiet() {
	b.fields = nil
	// The decoder still points into the buffer it read last: it is given
	// bytes that cost nothing, and change nothing.
	b.decoder.SetEmitEnabled(false)
	_, _ = b.decoder.Write(indexed)
	_ = b.decoder.Close()
}

func (b *block) end() error {
	if b.decoder.Close() != nil {
		return &connError{xhttp2.ErrCodeCompression, "malformed header block"}
	}
	return nil
}

// refusal is why a request is not served, with the status that says so; 0
// where the stream is reset instead, because the message is malformed.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string { return r.reason }

func malformed(reason string) *refusal { return &refusal{reason: reason} }

// framing is what a head says about the message around it.
type framing struct {
	length         int64 // Content-Length; -1 when there is none
	expectContinue bool
	status         int
}

// request fills req from the block (RFC 9113 section 8.3.1).
func (b *block) request(req *stream.Request, f *framing) *refusal {
	var method, scheme, path, authority string
	var seen [4]bool
	f.length = -1
	i := 0
	for ; i < len(b.fields) && b.fields[i].IsPseudo(); i++ {
		hf := &b.fields[i]
		if !validValue(hf.Value) {
			return malformed("control character in a pseudo-header field")
		}
		var at int
		switch hf.Name {
		case ":method":
			at, method = 0, hf.Value
		case ":scheme":
			at, scheme = 1, hf.Value
		case ":path":
			at, path = 2, hf.Value
		case ":authority":
			at, authority = 3, hf.Value
		default:
			return malformed("unknown pseudo-header field")
		}
		if seen[at] {
			return malformed("repeated pseudo-header field")
		}
		seen[at] = true
	}
	req.Method, req.Scheme, req.Authority = method, scheme, authority
	req.Path, req.Query, req.HasQuery = strings.Cut(path, "?")
	host, refused := b.requestFields(b.fields[i:], req, f)
	if refused != nil {
		return refused
	}
	switch {
	case b.tooLarge:
		return &refusal{431, "header too large"}
	case method == "":
		return malformed("no :method")
	case method == "CONNECT":
		return &refusal{501, "CONNECT is not supported"}
	case !isToken(method):
		return malformed("malformed :method")
	case path == "" || path[0] != '/' && (path != "*" || method != "OPTIONS"):
		return malformed("malformed :path")
	case !semantics.Visible(path):
		return malformed("a blank, control character or fragment in :path")
	case !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https"):
		return malformed("missing or unknown :scheme")
	case !validAuthority(authority) || !validAuthority(host):
		return malformed("malformed authority")
	case authority != "" && host != "" && !strings.EqualFold(authority, host):
		return malformed("Host and :authority differ")
	}
	if hasUpper(scheme) {
		req.Scheme = strings.ToLower(scheme)
	}
	if authority == "" {
		req.Authority = host
	}
	return nil
}

func (b *block) requestFields(fields []hpack.HeaderField, req *stream.Request, f *framing) (host string, refused *refusal) {
	cookies, hosts := 0, 0
	var never secrets
	for i := range fields {
		hf := &fields[i]
		if !validField(hf.Name, hf.Value) {
			return "", malformed("malformed header field")
		}
		switch special(hf.Name) {
		case fieldForbidden:
			return "", malformed("a field that belongs to HTTP/1 connections")
		case fieldTE:
			if hf.Value != "trailers" {
				return "", malformed("malformed TE")
			}
		case fieldContentLength:
			if f.length >= 0 {
				return "", malformed("several Content-Length fields")
			}
			n, ok := semantics.ParseLength(hf.Value)
			if !ok {
				return "", malformed("malformed Content-Length")
			}
			f.length = n
			continue
		case fieldHost:
			if hosts++; hosts > 1 {
				return "", malformed("several Host fields")
			}
			host = hf.Value
			continue
		case fieldExpect:
			if !strings.EqualFold(hf.Value, "100-continue") {
				return "", &refusal{417, "unknown expectation"}
			}
			f.expectContinue = true
			continue
		case fieldHop:
			continue
		}
		if hf.Name == "cookie" {
			if cookies++; cookies > 1 {
				continue
			}
		}
		if hf.Sensitive && !volatile(hf.Name) && !never.has(hf.Name) {
			never = append(never, hf.Name)
		}
		req.Header.Add(hf.Name, hf.Value)
	}
	if cookies > 1 {
		req.Header.Set("cookie", joinCookies(fields))
	}
	if never != nil {
		req.Native = never
	}
	return host, nil
}

// joinCookies puts the crumbs of a cookie together (RFC 9113 section 8.2.3).
func joinCookies(fields []hpack.HeaderField) string {
	var s strings.Builder
	for i := range fields {
		if fields[i].Name == "cookie" {
			if s.Len() > 0 {
				s.WriteString("; ")
			}
			s.WriteString(fields[i].Value)
		}
	}
	return s.String()
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') &&
			strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// response fills resp from the block (RFC 9113 section 8.3.2).
func (b *block) response(resp *stream.Response, f *framing) *refusal {
	f.length = -1
	if len(b.fields) == 0 || b.fields[0].Name != ":status" {
		return malformed("no :status")
	}
	var ok bool
	if f.status, ok = parseStatus(b.fields[0].Value); !ok {
		return malformed("malformed :status")
	}
	if b.tooLarge {
		return &refusal{0, "header too large"}
	}
	var never secrets
	for i := range b.fields[1:] {
		hf := &b.fields[1+i]
		if hf.IsPseudo() || !validField(hf.Name, hf.Value) {
			return malformed("malformed header field")
		}
		switch special(hf.Name) {
		case fieldForbidden:
			return malformed("a field that belongs to HTTP/1 connections")
		case fieldContentLength:
			n, ok := semantics.ParseLength(hf.Value)
			if !ok || f.length >= 0 {
				return malformed("malformed or several Content-Length fields")
			}
			f.length = n
			continue
		case fieldHop, fieldTE, fieldHost, fieldExpect:
			continue
		}
		if hf.Sensitive && !volatile(hf.Name) && !never.has(hf.Name) {
			never = append(never, hf.Name)
		}
		resp.Header.Add(hf.Name, hf.Value)
	}
	resp.Status = f.status
	if never != nil {
		resp.Native = never
	}
	return nil
}

func parseStatus(s string) (int, bool) {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), true
}

// trailer adds the block's fields to h.
func (b *block) trailer(h *stream.Header) *refusal {
	if b.tooLarge || b.size > maxTrailerBytes {
		return malformed("trailer too large")
	}
	for i := range b.fields {
		hf := &b.fields[i]
		switch {
		case hf.IsPseudo() || !validField(hf.Name, hf.Value):
			return malformed("malformed trailer field")
		case special(hf.Name) == fieldForbidden:
			return malformed("a field that belongs to HTTP/1 connections")
		case !forbiddenTrailer(hf.Name):
			h.Add(hf.Name, hf.Value)
		}
	}
	return nil
}

// readBlock reads the header block that fh begins into s.block, with the
// frames that continue it. end says that it is the stream's last frame.
func (s *session) readBlock(fh xhttp2.FrameHeader) (end bool, err error) {
	s.block.begin()
	n, pad, err := s.padding(fh)
	if err != nil {
		return false, err
	}
	if fh.Flags.Has(xhttp2.FlagHeadersPriority) {
		var prio [5]byte
		if n < len(prio) {
			return false, &connError{xhttp2.ErrCodeFrameSize, "HEADERS too short"}
		}
		if _, err := io.ReadFull(s.c.Reader(), prio[:]); err != nil {
			return false, err
		}
		n -= len(prio)
		if dependsOn(prio) == fh.StreamID {
			err = &streamError{fh.StreamID, xhttp2.ErrCodeProtocol, "a stream depends on itself"}
		}
	}
	ended := fh.Flags.Has(xhttp2.FlagHeadersEndHeaders)
	if ferr := s.fragment(n, pad); ferr != nil {
		return false, ferr
	}
	if !ended {
		// One time limit for all of them.
		_ = s.c.SetReadDeadline(time.Now().Add(s.opts.HeadTimeout))
	}
	for !ended {
		next, ferr := s.reader().ReadFrameHeader()
		if ferr != nil {
			return false, s.frameError(ferr)
		}
		if ferr := s.fragment(int(next.Length), 0); ferr != nil {
			return false, ferr
		}
		ended = next.Flags.Has(xhttp2.FlagContinuationEndHeaders)
	}
	if berr := s.block.end(); berr != nil {
		return false, berr
	}
	return fh.Flags.Has(xhttp2.FlagHeadersEndStream), err
}

// dependsOn returns the stream that a priority names.
func dependsOn(prio [5]byte) uint32 {
	return (uint32(prio[0])<<24 | uint32(prio[1])<<16 | uint32(prio[2])<<8 | uint32(prio[3])) & (1<<31 - 1)
}

// fragment reads n bytes of a header block and pad of padding.
func (s *session) fragment(n, pad int) error {
	br := s.c.Reader()
	if n <= br.Size() {
		p, err := br.Peek(n)
		if err != nil {
			return err
		}
		if err := s.block.add(p); err != nil {
			return err
		}
		_, err = br.Discard(n + pad)
		return err
	}
	p := newPiece(n)
	defer p.free()
	if _, err := io.ReadFull(br, p.buf[:n]); err != nil {
		return err
	}
	if err := s.block.add(p.buf[:n]); err != nil {
		return err
	}
	_, err := br.Discard(pad)
	return err
}

// padding reads how much of a DATA or HEADERS frame is padding: n bytes of
// payload are followed by pad of it.
func (s *session) padding(fh xhttp2.FrameHeader) (n, pad int, err error) {
	n = int(fh.Length)
	if !fh.Flags.Has(xhttp2.FlagDataPadded) { // the same bit in both frames
		return n, 0, nil
	}
	if n == 0 {
		return 0, 0, &connError{xhttp2.ErrCodeFrameSize, "a padded frame without padding length"}
	}
	b, err := s.c.Reader().ReadByte()
	if err != nil {
		return 0, 0, err
	}
	if n, pad = n-1-int(b), int(b); n < 0 {
		return 0, 0, &connError{xhttp2.ErrCodeProtocol, "more padding than frame"}
	}
	return n, pad, nil
}
