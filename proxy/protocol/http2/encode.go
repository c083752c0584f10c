package http2

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// encoder makes header blocks. The session's mutex guards it.
type encoder struct {
	enc *hpack.Encoder // see hpack
	// limit is how large a table the peer keeps for us. behind: it holds what
	// enc knows nothing of, or has another size.
	limit  uint32
	behind bool
	block  []byte
	// size is the header list's size so far (RFC 9113 section 6.5.2).
	size int
	// kept holds copies of the strings that HPACK's table may refer to, so
	// that the table does not keep whole message heads alive.
	kept      map[string]string
	keptBytes int
	// second is the time for which today is the text of Date.
	second int64
	today  string
	// lower holds the lower-case forms of names that came in another.
	lower map[string]string
}

const (
	maxKept      = 256
	maxKeptBytes = 16 << 10
	maxKeptName  = 64
	maxKeptBlock = 4 << 10 // a larger block's memory is not kept
)

// hpack returns the encoder, which an idle connection does without.
func (e *encoder) hpack() *hpack.Encoder {
	if e.enc == nil {
		e.enc = hpack.NewEncoder((*blockWriter)(e))
		if e.behind {
			// The next block begins with these (RFC 7541 section 4.2), and the
			// peer's table is empty too.
			e.enc.SetMaxDynamicTableSize(0)
			e.enc.SetMaxDynamicTableSize(e.limit)
		}
	}
	return e.enc
}

// forget lets go of the table. The peer is told so, when there is something to
// say again.
func (e *encoder) forget() {
	if e.enc != nil {
		e.enc, e.behind = nil, true
	}
}

// quiet lets go of what can be made again.
func (e *encoder) quiet() { e.kept, e.lower, e.block, e.keptBytes = nil, nil, nil, 0 }

type blockWriter encoder

func (w *blockWriter) Write(p []byte) (int, error) {
	w.block = append(w.block, p...)
	return len(p), nil
}

// begin starts a block.
func (e *encoder) begin() {
	if cap(e.block) > maxKeptBlock {
		e.block = nil
	}
	e.block, e.size = e.block[:0], 0
}

// tableSize sets how large a table the peer keeps for us.
func (e *encoder) tableSize(n uint32) {
	e.limit = min(n, tableSize)
	if e.enc == nil {
		e.behind = true
		return
	}
	e.enc.SetMaxDynamicTableSize(e.limit)
}

// field adds a field whose strings may be kept.
func (e *encoder) field(name, value string, never bool) {
	e.size += len(name) + len(value) + 32
	// Writing to a slice does not fail.
	_ = e.hpack().WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: never})
}

// keep returns s as a string of its own.
func (e *encoder) keep(s string) string {
	if k, ok := e.kept[s]; ok {
		return k
	}
	if len(e.kept) >= maxKept || e.keptBytes > maxKeptBytes {
		clear(e.kept)
		e.keptBytes = 0
	}
	if e.kept == nil {
		e.kept = make(map[string]string)
	}
	k := strings.Clone(s)
	e.kept[k] = k
	e.keptBytes += len(s)
	return k
}

// name returns a field's name in lower case, as HTTP/2 has it.
func (e *encoder) name(s string) string {
	if !hasUpper(s) {
		return e.keep(s)
	}
	if k, ok := e.lower[s]; ok {
		return k
	}
	k := strings.ToLower(s)
	if len(s) <= maxKeptName {
		if len(e.lower) >= maxKept {
			clear(e.lower)
		}
		if e.lower == nil {
			e.lower = make(map[string]string)
		}
		e.lower[strings.Clone(s)] = k
	}
	return k
}

func hasUpper(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
}

// fields adds the end-to-end fields of h. Those that never says are secret.
func (e *encoder) fields(h *stream.Header, never secrets) {
	for i := range h.Len() {
		f := h.At(i)
		if special(f.Name) != fieldOther {
			continue
		}
		e.pair(e.name(f.Name), f.Value, never)
	}
}

// pair adds a field whose name is in lower case.
func (e *encoder) pair(name, value string, never secrets) {
	// A value that differs in each message would only push others out of
	// the table. "Never indexed" is the one way to say so to the encoder.
	if volatile(name) || len(value) > maxIndexed || never.has(name) {
		e.field(name, value, true)
		return
	}
	e.field(name, e.keep(value), false)
}

// maxIndexed is the longest value that is put into the table.
const maxIndexed = 1 << 10

// volatile reports whether a field is secret or hardly ever has the same value twice.
func volatile(name string) bool {
	switch name {
	case "authorization", "proxy-authorization", "cookie", "set-cookie",
		"content-length", "grpc-timeout", "traceparent", "x-request-id", "x-b3-traceid", "x-b3-spanid", "b3",
		"etag", "last-modified", "if-none-match", "if-modified-since":
		return true
	}
	return false
}

func (e *encoder) length(n int64) {
	var digits [20]byte
	e.field("content-length", string(strconv.AppendInt(digits[:0], n, 10)), true)
}

// request makes the block of a request's head.
func (e *encoder) request(req *stream.Request) []byte {
	e.begin()
	e.field(":method", e.keep(req.Method), false)
	scheme := req.Scheme
	if scheme == "" {
		scheme = "http"
	}
	e.field(":scheme", e.keep(scheme), false)
	if req.Authority != "" {
		e.field(":authority", e.keep(req.Authority), false)
	}
	switch {
	case req.HasQuery:
		e.field(":path", req.Path+"?"+req.Query, true)
	case len(req.Path) > maxIndexed:
		e.field(":path", req.Path, true)
	default:
		e.field(":path", e.keep(req.Path), false)
	}
	never, _ := req.Native.(secrets)
	e.fields(&req.Header, never)
	if isGRPC(&req.Header) || wantsTrailers(&req.Header) {
		e.field("te", "trailers", false)
	}
	if req.ContentLength > 0 || req.ContentLength == 0 && req.Body != nil {
		e.length(req.ContentLength)
	}
	return e.block
}

func wantsTrailers(h *stream.Header) bool {
	te, ok := h.Lookup("Te")
	return ok && strings.EqualFold(te, "trailers")
}

// response makes the block of an answer's head. length < 0 is not said.
func (e *encoder) response(resp *stream.Response, length int64) []byte {
	e.begin()
	e.status(resp.Status)
	never, _ := resp.Native.(secrets)
	e.fields(&resp.Header, never)
	if _, ok := resp.Header.Lookup("Date"); !ok {
		// A recipient with a clock adds what the origin left out (RFC 9110 section 6.6.1).
		e.field("date", e.date(time.Now()), false)
	}
	if length >= 0 {
		e.length(length)
	}
	return e.block
}

func (e *encoder) date(now time.Time) string {
	if now.Unix() != e.second || e.today == "" {
		e.second, e.today = now.Unix(), now.UTC().Format(http.TimeFormat)
	}
	return e.today
}

// bare makes the block of an answer that has nothing but a status.
func (e *encoder) bare(status int) []byte {
	e.begin()
	e.status(status)
	return e.block
}

func (e *encoder) status(status int) {
	if status == 200 {
		e.field(":status", "200", false)
		return
	}
	var digits [3]byte
	e.field(":status", e.keep(string(strconv.AppendInt(digits[:0], int64(status), 10))), false)
}

// trailer makes the block of a trailer section.
func (e *encoder) trailer(h *stream.Header) []byte {
	e.begin()
	for i := range h.Len() {
		if f := h.At(i); !forbiddenTrailer(f.Name) {
			e.pair(e.name(f.Name), f.Value, nil)
		}
	}
	return e.block
}

// checkFields reports whether all fields can be written. Fields that came off
// the wire can; those a filter or a caller within the process made may not.
func checkFields(h *stream.Header) error {
	for i := range h.Len() {
		if f := h.At(i); !httpguts.ValidHeaderFieldName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
			return errField
		}
	}
	return nil
}
