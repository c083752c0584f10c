package dubbothrift

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Types of exceptions.
const (
	unknown       = 0
	unknownMethod = 1
	internalError = 6
	protocolError = 7
)

// Types of fields.
const (
	stop      = 0
	typeInt   = 8
	typeText  = 11
	textField = 1
	typeField = 2
)

var errNoService = errors.New(`dubbothrift: a request needs the header field "service"`)

// Reply implements frame.Codec.
func (Codec) Reply(_ *frame.Message, e *stream.Error) frame.Message {
	if e == nil { // there are no heartbeats
		return frame.Message{Type: frame.HeartbeatReply}
	}
	return frame.Message{Type: frame.Response, Code: Exception, Status: e.Status(), Body: exception(dubbo.Failure(e))}
}

// exceptionOf is the type of exception for a number of dubbo.Failure.
func exceptionOf(number int) int32 {
	switch number {
	case 0:
		return protocolError
	case 404:
		return unknownMethod
	case 403, 500, 504:
		return internalError
	}
	return unknown
}

// exception returns the struct of an exception that tells what dubbo.Failure says.
func exception(number int, text string) []byte {
	b := appendText([]byte{typeText, 0, textField}, text)
	b = append(b, typeInt, 0, typeField)
	b = binary.BigEndian.AppendUint32(b, uint32(exceptionOf(number)))
	return append(b, stop)
}

// exceptionStatus is the HTTP status that an exception stands for.
func exceptionStatus(b []byte) int {
	var text []byte
	kind := int32(unknown)
	for len(b) >= 7 && b[0] != stop {
		n := binary.BigEndian.Uint32(b[3:])
		field := binary.BigEndian.Uint16(b[1:])
		switch {
		case b[0] == typeText && n <= uint32(len(b)-7):
			if field == textField {
				text = b[7 : 7+n]
			}
			b = b[7+n:]
		case b[0] == typeInt:
			if field == typeField {
				kind = int32(n)
			}
			b = b[7:]
		default:
			b = nil // exceptions have no others
		}
	}
	status := dubbo.MessageStatus(text)
	switch {
	case status > 0 && exceptionOf(dubbo.Number(status)) == kind:
		return status
	case kind == unknownMethod:
		return 404
	case kind == protocolError:
		return 400
	}
	return 500
}

func appendText(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(text))), text...)
}

// own returns the frame of m if it was read by this codec, else nil, and where
// things are in it.
func own(m *frame.Message) ([]byte, layout) {
	if m == nil || m.Frame == nil || m.Codec() != (Codec{}) {
		return nil, layout{}
	}
	l, err := parse(m.Frame)
	if err != nil {
		return nil, layout{}
	}
	return m.Frame, l
}

// parts are what a frame is built of, beside its id and payload.
type parts struct {
	version byte
	service string
	more    []byte // between service and id
	kind    byte
	method  string
	number  uint32
}

// from takes all parts from a frame.
func (p *parts) from(f []byte, l layout) {
	p.version = f[versionAt]
	p.service = string(f[l.service:l.serviceEnd])
	p.more = f[l.serviceEnd:l.id]
	p.kind = l.kind
	p.method = string(f[l.method:l.methodEnd])
	p.number = binary.BigEndian.Uint32(f[l.methodEnd:])
}

// Append implements frame.Codec.
func (Codec) Append(dst []byte, m *frame.Message) ([]byte, error) {
	p := parts{version: version, number: uint32(m.ID)}
	var body []byte
	switch m.Type {
	case frame.Request, frame.OneWay:
		if err := p.request(m); err != nil {
			return dst, err
		}
		body = m.Body
	case frame.Response:
		body = p.response(m)
	default:
		return dst, fmt.Errorf("dubbothrift: messages of type %d: %w", m.Type, errors.ErrUnsupported)
	}
	head := minHead + len(p.service) + len(p.more)
	if head > math.MaxUint16 {
		return dst, fmt.Errorf("dubbothrift: a head of %d bytes, more than a frame can hold (%d): the service's name is too long", head, math.MaxUint16)
	}
	length := head + minMessage + len(p.method) + max(len(body), 1)
	if length > math.MaxInt32-magicAt {
		return dst, fmt.Errorf("dubbothrift: %d bytes, more than a frame can hold (%d)", length, math.MaxInt32-magicAt)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = append(dst, magic>>8, magic&0xff)
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = binary.BigEndian.AppendUint16(dst, uint16(head))
	dst = append(dst, p.version)
	dst = appendText(dst, p.service)
	dst = append(dst, p.more...)
	dst = binary.BigEndian.AppendUint64(dst, m.ID)
	dst = binary.BigEndian.AppendUint32(dst, thriftVersion|uint32(p.kind))
	dst = appendText(dst, p.method)
	dst = binary.BigEndian.AppendUint32(dst, p.number)
	if len(body) == 0 {
		return append(dst, stop), nil // a struct without fields
	}
	return append(dst, body...), nil
}

// request takes the parts of a request.
func (p *parts) request(m *frame.Message) error {
	if f, l := own(m.Origin); f != nil {
		p.from(f, l)
	}
	if service, ok := m.Header.Lookup(fieldService); ok {
		p.service = service
	}
	if p.service == "" {
		return errNoService
	}
	was := p.method
	if m.Method != "" {
		p.method = m.Method
	}
	if method, ok := m.Header.Lookup(fieldMethod); ok && p.method == was {
		p.method = method
	}
	if p.kind = call; m.Type == frame.OneWay {
		p.kind = oneWay
	}
	return nil
}

// response takes the parts of an answer, and returns its payload.
func (p *parts) response(m *frame.Message) []byte {
	f, l := own(m.Origin)
	if f != nil {
		p.from(f, l)
	} else if req, l := own(m.Request); req != nil {
		p.from(req, l)
	}
	p.kind = Reply
	ours := f != nil || m.Origin == nil
	switch {
	case ours && m.Code == Exception:
		p.kind = Exception
		return m.Body
	case ours && m.Code == Reply, m.Status < 400:
		return m.Body
	}
	p.kind = Exception
	text := m.Body
	if f != nil {
		text = nil // a struct
	}
	return exception(dubbo.FailureStatus(m.Status, text))
}
