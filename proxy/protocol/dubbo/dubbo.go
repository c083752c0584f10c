package dubbo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The head of a frame: magic, flag, status, id (8 bytes), length of the body (4).
const (
	magic      = 0xdabb
	flagAt     = 2
	statusAt   = 3
	idAt       = 4
	lengthAt   = 12
	headLength = 16
)

// What is in the flag, beside the serialisation.
const (
	flagRequest   = 0x80
	flagTwoWay    = 0x40
	flagEvent     = 0x20
	serialisation = 0x1f
)

// Serialisations that something is done with.
const (
	hessian2 = 2
	fastjson = 6
)

// maxEvent is the longest payload of a heartbeat that is sent back.
const maxEvent = 64

var (
	errMagic  = errors.New("dubbo: the frame does not begin with 0xdabb")
	errLength = errors.New("dubbo: the length of the body is negative")
)

// Codec is the codec of Dubbo 2. See the package for what it reads and builds.
type Codec struct{}

var _ frame.Codec = Codec{}

// Name implements frame.Codec.
func (Codec) Name() string { return "dubbo" }

// Match implements frame.Codec.
func (Codec) Match(prefix []byte) protocol.Verdict {
	switch {
	case len(prefix) > 0 && prefix[0] != magic>>8, len(prefix) > 1 && prefix[1] != magic&0xff:
		return protocol.No
	case len(prefix) < 2:
		return protocol.More
	}
	return protocol.Match
}

// MaxID implements frame.Codec. Ids are Java's long.
func (Codec) MaxID() uint64 { return math.MaxInt64 }

// Size implements frame.Codec.
func (c Codec) Size(b []byte) (int, error) {
	switch {
	case c.Match(b) == protocol.No:
		return 0, errMagic
	case len(b) < headLength:
		return 0, nil
	}
	n := binary.BigEndian.Uint32(b[lengthAt:])
	if n > math.MaxInt32 {
		return 0, errLength
	}
	return headLength + int(n), nil
}

// Decode implements frame.Codec.
func (Codec) Decode(m *frame.Message) error {
	b := m.Frame
	m.ID = binary.BigEndian.Uint64(b[idAt:])
	m.Start, m.End = headLength, len(b)
	switch flag := b[flagAt]; {
	case flag&flagRequest == 0 && flag&flagEvent != 0:
		m.Type = frame.HeartbeatReply
	case flag&flagRequest == 0:
		m.Type = frame.Response
		m.Code = int(b[statusAt])
		m.Status = httpStatus(m.Code, flag&serialisation, b[headLength:])
	case flag&flagEvent != 0:
		m.Type = eventType(flag, b[headLength:])
	case flag&flagTwoWay == 0:
		m.Type = frame.OneWay
	default:
		m.Type = frame.Request
	}
	return nil
}

// eventType says what the event is that a peer has sent.
func eventType(flag byte, payload []byte) frame.Type {
	known := true
	switch flag & serialisation {
	case hessian2:
		if string(payload) == "\x01R" {
			return frame.GoAway
		}
	case fastjson:
		if len(payload) >= 3 && string(payload[:3]) == `"R"` {
			return frame.GoAway
		}
	default:
		known = false
	}
	switch {
	case flag&flagTwoWay != 0:
		return frame.Heartbeat
	case !known:
		// "R" is by far the most likely of those that want no answer. If it is
		// another one, the price is a connection.
		return frame.GoAway
	}
	return frame.HeartbeatReply // nothing is done about these
}

// SetID implements frame.Codec.
func (Codec) SetID(b []byte, id uint64) { binary.BigEndian.PutUint64(b[idAt:], id) }

// Reply implements frame.Codec.
func (Codec) Reply(req *frame.Message, e *stream.Error) frame.Message {
	if e == nil {
		m := frame.Message{Type: frame.HeartbeatReply, Code: StatusOK, Status: 200, Body: []byte{'N'}}
		if p := req.Payload(); req.Frame[flagAt]&serialisation != hessian2 && len(p) <= maxEvent {
			m.Body = p // null, in whatever serialisation that is
		}
		return m
	}
	number, text := Failure(e)
	code := codeOf(number)
	return frame.Message{
		Type: frame.Response, Code: code, Status: e.Status(),
		Body: appendText(nil, answerIn(req), text),
	}
}

// own returns m if it was read by this codec, else nil.
func own(m *frame.Message) *frame.Message {
	if m == nil || len(m.Frame) < headLength || m.Codec() != (Codec{}) {
		return nil
	}
	return m
}

// answerIn is the serialisation that an answer of ours to req is in: the
// request's if it is one that we can write.
func answerIn(req *frame.Message) byte {
	if req = own(req); req != nil && req.Frame[flagAt]&serialisation == fastjson {
		return fastjson
	}
	return hessian2
}

// Append implements frame.Codec.
func (Codec) Append(dst []byte, m *frame.Message) ([]byte, error) {
	start := len(dst)
	flag, status := byte(hessian2), byte(0)
	dst = append(dst, magic>>8, magic&0xff, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, m.ID)
	dst = append(dst, 0, 0, 0, 0)
	var err error
	switch m.Type {
	case frame.Request, frame.OneWay:
		dst, flag, err = appendRequest(dst, m)
		if flag |= flagRequest; m.Type == frame.Request {
			flag |= flagTwoWay
		}
	case frame.Response:
		dst, flag, status = appendResponse(dst, m)
	case frame.Heartbeat:
		flag |= flagRequest | flagTwoWay | flagEvent
		dst = append(dst, 'N')
	case frame.HeartbeatReply:
		flag |= flagEvent
		if req := own(m.Request); req != nil && len(req.Payload()) <= maxEvent {
			flag = flagEvent | req.Frame[flagAt]&serialisation
		}
		status = StatusOK
		dst = append(dst, m.Body...)
	case frame.GoAway:
		flag |= flagRequest | flagEvent
		dst = append(dst, 1, 'R')
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return dst[:start], err
	}
	length := len(dst) - start - headLength
	if length > math.MaxInt32 {
		return dst[:start], fmt.Errorf("dubbo: a body of %d bytes, more than a frame can hold (%d)", length, math.MaxInt32)
	}
	dst[start+flagAt], dst[start+statusAt] = flag, status
	binary.BigEndian.PutUint32(dst[start+lengthAt:], uint32(length))
	return dst, nil
}
