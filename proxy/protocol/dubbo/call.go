package dubbo

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// SerializationField is the header field of a message that is not in Hessian 2:
// the number of the serialisation that its body is in.
const SerializationField = "dubbo-serialization"

// Names of other header fields.
const (
	fieldDubbo   = "dubbo"
	fieldService = "service"
	fieldVersion = "version"
	fieldMethod  = "method"
)

// Names of attachments that have a meaning here.
const (
	attachedPath    = "path"
	attachedTimeout = "timeout"
)

const (
	// maxShown is how many attachments are looked at. More of them are
	// forwarded like everything that is not.
	maxShown = 512
	// maxRegion is how many bytes are copied at a time for the strings in them.
	maxRegion = 16 << 10
	// maxGap is how many bytes are copied for nothing to make two copies one.
	maxGap = 512
)

var errNoCall = errors.New("dubbo: the body is not a call in Hessian 2: it does not begin with the protocol's version, a service, its version, a method and the types of its parameters, all strings")

// call is what the body of a request begins with. The scanner is behind it.
type call struct {
	dubbo, service, version, method, types text
}

// read reads the call that s begins with.
func (c *call) read(s *scanner) error {
	for _, t := range [...]*text{&c.dubbo, &c.service, &c.version, &c.method, &c.types} {
		var ok bool
		if *t, ok = s.string(); !ok {
			return errNoCall
		}
	}
	return nil
}

// arguments steps over one value for each type in a list of JVM descriptors.
func (s *scanner) arguments(types []byte) bool {
	for i := 0; i < len(types); i++ {
		switch types[i] {
		case '[':
			continue
		case 'L':
			n := bytes.IndexByte(types[i:], ';')
			if n < 0 {
				return false
			}
			i += n
		case 'Z', 'B', 'C', 'D', 'F', 'I', 'J', 'S', 'V':
		default:
			return false
		}
		if !s.skip(0) {
			return false
		}
	}
	return true
}

// entry is one of a map.
type entry struct {
	key, value text
	// plain: both are strings in one piece. Else only key.raw and value.end,
	// where it begins and ends, are known.
	plain bool
}

// open steps over the beginning of a map; some is false if it is a null.
func (s *scanner) open() (some, ok bool) {
	if s.i >= len(s.b) {
		return false, false
	}
	s.i++
	switch s.b[s.i-1] {
	case 'N':
		return false, true
	case 'H':
		return true, true
	case 'M':
		return true, s.kind()
	}
	return false, false
}

// entry reads the next entry of a map; more is false at its end.
func (s *scanner) entry(e *entry) (more, ok bool) {
	if s.i >= len(s.b) {
		return false, false
	}
	if s.b[s.i] == 'Z' {
		s.i++
		return false, true
	}
	key := s.either(&e.key)
	value := key != no && s.i < len(s.b)
	if !value {
		return false, false
	}
	is := s.either(&e.value)
	e.plain = key == yes && is == yes && e.key.end > e.key.at
	return true, is != no
}

// answer to a question that may have none.
type answer uint8

const (
	no    answer = iota // it is no value
	other               // it is another value
	yes
)

// either reads a string, or steps over another value.
func (s *scanner) either(t *text) answer {
	at := s.i
	var ok bool
	if *t, ok = s.string(); ok && !t.null {
		return yes
	}
	s.i = at
	ok = s.skip(0)
	*t = text{raw: at, end: s.i}
	if !ok {
		return no
	}
	return other
}

// hidden reports whether an attachment of that name is no header field.
func hidden(name string) bool {
	switch len(name) {
	case 4:
		return name == attachedPath
	case 5:
		return stream.EqualName(name, fieldDubbo)
	case 6:
		return stream.EqualName(name, fieldMethod)
	case 7:
		return name == attachedTimeout || stream.EqualName(name, fieldService) || stream.EqualName(name, fieldVersion)
	case len(frame.StatusField):
		return stream.EqualName(name, frame.StatusField)
	case len(SerializationField):
		return stream.EqualName(name, SerializationField)
	}
	return false
}

// Fields implements frame.Codec.
func (Codec) Fields(m *frame.Message) error {
	in := m.Frame[flagAt] & serialisation
	if in != hessian2 {
		m.Header.Add(SerializationField, strconv.Itoa(int(in)))
	}
	switch {
	case m.Type == frame.Response:
	case in == hessian2:
		return fields(m)
	case in == fastjson:
		lineFields(m)
	}
	return nil
}

// chars holds the strings of a part of a body, which begins at from.
type chars struct {
	all  string
	from int
}

// of returns the characters of t.
func (c chars) of(t text) string { return c.all[t.at-c.from : t.end-c.from] }

// fields reads a call in Hessian 2.
func fields(m *frame.Message) error {
	b, h := m.Payload(), m.Header
	s := scanner{b: b}
	var c call
	if err := c.read(&s); err != nil {
		return err
	}
	known := s.arguments(b[c.types.at:c.types.end])
	// The strings are copied at one go, or two, if that is little more than them.
	end := c.method.end
	var attached chars
	switch size := len(b) - s.i; {
	case !known || size > maxRegion:
	case s.i-end <= maxGap:
		end = len(b)
	default:
		attached = chars{h.Intern(b[s.i:]), s.i}
	}
	head := chars{h.Intern(b[:end]), 0}
	if end == len(b) {
		attached = head
	}
	h.Add(fieldDubbo, head.of(c.dubbo))
	h.Add(fieldService, head.of(c.service))
	if !c.version.null {
		h.Add(fieldVersion, head.of(c.version))
	}
	m.Method = head.of(c.method)
	h.Add(fieldMethod, m.Method)
	if known {
		attachments(m, &s, attached)
	}
	return nil
}

// attachments adds those that s is in front of to the header, as far as they
// can be read.
func attachments(m *frame.Message, s *scanner, in chars) {
	if some, ok := s.open(); !some || !ok {
		return
	}
	var e entry
	for range maxShown {
		if more, ok := s.entry(&e); !more || !ok {
			return
		}
		if !e.plain {
			continue
		}
		if in.all == "" {
			add(m, m.Header.Intern(s.b[e.key.at:e.key.end]), m.Header.Intern(s.b[e.value.at:e.value.end]))
		} else {
			add(m, in.of(e.key), in.of(e.value))
		}
	}
}

// add adds an attachment.
func add(m *frame.Message, name, value string) {
	switch {
	case name == attachedTimeout:
		m.Timeout = timeout(value)
	case !hidden(name):
		m.Header.Add(name, value)
	}
}

// timeout reads a time in milliseconds; 0 if it is none.
func timeout(ms string) time.Duration {
	if n, err := strconv.ParseUint(ms, 10, 32); err == nil {
		return min(time.Duration(n)*time.Millisecond, frame.Never)
	}
	return 0
}

// lineFields reads a call in fastjson: one JSON text on each line.
func lineFields(m *frame.Message) {
	var at [4]string
	if !lines(m.Payload(), &at, m.Header.Intern) {
		return
	}
	m.Header.Add(fieldDubbo, at[0])
	m.Header.Add(fieldService, at[1])
	m.Header.Add(fieldVersion, at[2])
	m.Header.Add(fieldMethod, at[3])
	m.Method = at[3]
}

// lines reads the strings that the first lines are. Names that have to be
// escaped are not known: the call is forwarded without.
func lines(b []byte, into *[4]string, intern func([]byte) string) bool {
	for i := range into {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		line = bytes.TrimSpace(line)
		b = rest
		switch n := len(line); {
		case !ok:
			return false
		case string(line) == "null":
		case n < 2 || line[0] != '"' || bytes.IndexByte(line[1:], '"') != n-2 || bytes.IndexByte(line, '\\') >= 0:
			return false
		default:
			into[i] = intern(line[1 : n-1])
		}
	}
	return true
}
