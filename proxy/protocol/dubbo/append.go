package dubbo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// What the body of an answer with StatusOK begins with.
const (
	answerValue = 1
	answerNull  = 2
	// withAttachments is added where a map of them is at the end.
	withAttachments = 3
	lastAnswer      = 5
)

// zero is the integer 0 in Hessian 2. Small ones come after it.
const zero = 0x90

// serialisationOf is the serialisation of what m is to hold: that of what it was
// read from, or what the header says, or else.
func serialisationOf(m *frame.Message, or byte) byte {
	if origin := own(m.Origin); origin != nil {
		return origin.Frame[flagAt] & serialisation
	}
	if n, err := strconv.ParseUint(m.Header.Get(SerializationField), 10, 8); err == nil && n <= serialisation {
		return byte(n)
	}
	return or
}

// appendRequest appends the body of a request, and says in what it is.
func appendRequest(dst []byte, m *frame.Message) ([]byte, byte, error) {
	origin := own(m.Origin)
	if in := serialisationOf(m, hessian2); in != hessian2 {
		if origin != nil && changed(m, origin) {
			return dst, in, fmt.Errorf("dubbo: service, version or method of a call in serialisation %d were changed; that can be done in Hessian 2 (%d) only", in, hessian2)
		}
		return append(dst, m.Body...), in, nil
	}
	b := m.Body
	s := scanner{b: b}
	var c call
	if err := c.read(&s); err != nil {
		return dst, hessian2, err
	}
	e := edit{h: m.Header, drop: origin != nil, timeout: milliseconds(m.Timeout)}
	dst = append(dst, b[c.dubbo.raw:c.dubbo.end]...)
	service, ok := m.Header.Lookup(fieldService)
	if ok && service != string(b[c.service.at:c.service.end]) {
		e.path = service
	}
	dst = appendOr(dst, b, c.service, e.path)
	version, ok := m.Header.Lookup(fieldVersion)
	if ok && version != string(b[c.version.at:c.version.end]) {
		e.version = version
	}
	dst = appendOr(dst, b, c.version, e.version)
	dst = appendOr(dst, b, c.method, method(m, b[c.method.at:c.method.end]))
	at := c.types.raw
	if !s.arguments(b[c.types.at:c.types.end]) {
		return append(dst, b[at:]...), hessian2, nil
	}
	dst = append(dst, b[at:s.i]...)
	return e.attachments(dst, &s), hessian2, nil
}

// method returns the method to call, where that is not the one that the body
// has; else "". What a filter has changed counts, be it the field or the method.
func method(m *frame.Message, is []byte) string {
	if m.Method != "" && m.Method != string(is) {
		return m.Method
	}
	if v := m.Header.Get(fieldMethod); v != string(is) {
		return v
	}
	return ""
}

// appendOr appends a string of b, or another one in its place.
func appendOr(dst, b []byte, t text, other string) []byte {
	if other == "" {
		return append(dst, b[t.raw:t.end]...)
	}
	return appendString(dst, other)
}

// changed reports whether m calls something else than origin does.
func changed(m, origin *frame.Message) bool {
	if m.Method != origin.Method {
		return true
	}
	var at [4]string
	if origin.Frame[flagAt]&serialisation != fastjson || !lines(origin.Payload(), &at, func(b []byte) string { return string(b) }) {
		return false
	}
	for i, name := range [...]string{1: fieldService, 2: fieldVersion, 3: fieldMethod} {
		if v, ok := m.Header.Lookup(name); name != "" && ok && v != at[i] {
			return true
		}
	}
	return false
}

// milliseconds writes a time; "" if there is no limit.
func milliseconds(d time.Duration) string {
	if d <= 0 || d >= frame.Never {
		return ""
	}
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}

// maxFields is how many header fields may be attachments that there are already:
// those, and the others that are put before them.
const maxFields = maxShown + 64

// edit makes attachments what a header says.
type edit struct {
	h *stream.Header
	// drop those that have no field.
	drop bool
	// What attachments that repeat something have to say; "" leaves them as
	// they are. The last one is added where it is missing.
	path, version, timeout string

	// used has a bit for each of the first fields that is an attachment already.
	used [maxFields / 64]uint64
	next int // the field that is tried first
}

// attachments appends those that s is in front of, and all that is behind them.
// If they cannot be read they stay what they are.
func (e *edit) attachments(dst []byte, s *scanner) []byte {
	from, before := s.i, len(dst)
	dst, ok := e.rebuild(dst, s)
	if !ok {
		return append(dst[:before], s.b[from:]...)
	}
	return append(dst, s.b[s.i:]...)
}

func (e *edit) rebuild(dst []byte, s *scanner) ([]byte, bool) {
	from, before := s.i, len(dst)
	some, ok := s.open()
	if !ok {
		return dst, false
	}
	if some {
		dst = append(dst, s.b[from:s.i]...)
	} else {
		dst = append(dst, 'H')
	}
	empty := len(dst)
	var x entry
	for n := 0; some; n++ {
		more, ok := s.entry(&x)
		if !ok {
			return dst, false
		}
		if !more {
			break
		}
		if n < maxShown {
			dst = e.replace(dst, s.b, &x)
		} else {
			dst = append(dst, s.b[x.key.raw:x.value.end]...)
		}
	}
	for i := range e.h.Len() {
		if f := e.h.At(i); !e.isUsed(i) && f.Name != "" && !hidden(f.Name) {
			dst = appendString(appendString(dst, f.Name), f.Value)
		}
	}
	if e.timeout != "" {
		dst = appendString(appendString(dst, attachedTimeout), e.timeout)
	}
	if !some && len(dst) == empty {
		return append(dst[:before], 'N'), true
	}
	return append(dst, 'Z'), true
}

// replace appends an attachment, or what is to be in its place.
func (e *edit) replace(dst, b []byte, x *entry) []byte {
	raw := b[x.key.raw:x.value.end]
	if !x.plain {
		if name := b[x.key.at:x.key.end]; string(name) == attachedTimeout {
			e.timeout = ""
		}
		return append(dst, raw...)
	}
	name := string(b[x.key.at:x.key.end])
	value := ""
	switch {
	case name == attachedPath:
		value = e.path
	case name == attachedTimeout:
		value, e.timeout = e.timeout, ""
	case name == fieldVersion:
		value = e.version
	case hidden(name):
	default:
		i := e.find(name)
		if i < 0 {
			if e.drop {
				return dst
			}
			return append(dst, raw...)
		}
		e.used[i/64] |= 1 << (i % 64)
		e.next = i + 1
		if value = e.h.At(i).Value; value == "" && x.value.end > x.value.at {
			return append(append(dst, b[x.key.raw:x.key.end]...), 0)
		}
	}
	if value == "" || value == string(b[x.value.at:x.value.end]) {
		return append(dst, raw...)
	}
	return appendString(append(dst, b[x.key.raw:x.key.end]...), value)
}

func (e *edit) isUsed(i int) bool {
	return i < maxFields && e.used[i/64]&(1<<(i%64)) != 0
}

// find returns the first field of that very name that is not used, -1 if there
// is none. Most have their fields in order.
func (e *edit) find(name string) int {
	n := min(e.h.Len(), maxFields)
	for k := range n {
		i := (e.next + k) % n
		if !e.isUsed(i) && e.h.At(i).Name == name {
			return i
		}
	}
	return -1
}

// appendResponse appends the body of an answer, and returns flag and status.
func appendResponse(dst []byte, m *frame.Message) ([]byte, byte, byte) {
	origin := own(m.Origin)
	switch {
	case origin != nil && (m.Code >= 0 || m.Status < 400), m.Origin == nil && m.Code > 0:
		in, status := serialisationOf(m, answerIn(m.Request)), byte(StatusOK)
		if m.Code >= 0 {
			status = byte(min(m.Code, 255))
		}
		if status == StatusOK && in == hessian2 {
			return appendAnswer(dst, m), in, status
		}
		return append(dst, m.Body...), in, status
	case m.Status < 400:
		return appendForeign(dst, m)
	case origin != nil:
		return appendFailure(dst, m, m.Status, nil)
	}
	return appendFailure(dst, m, m.Status, m.Body)
}

// appendForeign appends an answer that means success and is not Dubbo's: a
// string, or null where there is nothing.
func appendForeign(dst []byte, m *frame.Message) ([]byte, byte, byte) {
	in, kind := answerIn(m.Request), byte(answerValue)
	if len(m.Body) == 0 {
		kind = answerNull
	}
	if req := own(m.Request); req != nil && req.Frame[flagAt]&serialisation != in {
		// We cannot write that. Perhaps who has made the answer can.
		return append(dst, m.Body...), req.Frame[flagAt] & serialisation, StatusOK
	}
	if !utf8.Valid(m.Body) {
		return appendFailure(dst, m, 500, []byte("the answer is neither Dubbo's nor text"))
	}
	if in == fastjson {
		dst = append(dst, '0'+kind, '\n')
	} else {
		dst = append(dst, zero+kind)
	}
	if kind == answerValue {
		dst = appendText(dst, in, string(m.Body))
	}
	return dst, in, StatusOK
}

// appendFailure appends the answer for an HTTP status.
func appendFailure(dst []byte, m *frame.Message, status int, body []byte) ([]byte, byte, byte) {
	in := answerIn(m.Request)
	number, text := FailureStatus(status, body)
	return appendText(dst, in, text), in, byte(codeOf(number))
}

// appendAnswer appends a body in Hessian 2, with what is in the header as
// attachments.
func appendAnswer(dst []byte, m *frame.Message) []byte {
	s := scanner{b: m.Body}
	e := edit{h: m.Header}
	kind, ok := s.int()
	head := s.i
	switch {
	case !ok || kind > lastAnswer || !attaches(m.Header):
	case kind%withAttachments != answerNull && !s.skip(0):
	case kind >= withAttachments:
		return e.attachments(append(dst, m.Body[:s.i]...), &s)
	case s.i == len(m.Body) && takesAttachments(m.Request):
		dst = append(dst, zero+withAttachments+byte(kind))
		dst = append(dst, m.Body[head:]...)
		return e.attachments(dst, &scanner{b: []byte{'N'}})
	}
	return append(dst, m.Body...)
}

// attaches reports whether some field is to be an attachment.
func attaches(h *stream.Header) bool {
	for i := range h.Len() {
		if name := h.At(i).Name; name != "" && !hidden(name) {
			return true
		}
	}
	return false
}

// takesAttachments reports whether the caller understands attachments in an
// answer: its protocol's version is 2.0.2 or a later 2.0.
func takesAttachments(req *frame.Message) bool {
	if req = own(req); req == nil || req.Frame[flagAt]&serialisation != hessian2 {
		return false
	}
	b := req.Payload()
	s := scanner{b: b}
	t, ok := s.string()
	if !ok {
		return false
	}
	last, ok := strings.CutPrefix(string(b[t.at:t.end]), "2.0.")
	n, err := strconv.Atoi(last)
	return ok && err == nil && n >= 2 && n < 100
}
