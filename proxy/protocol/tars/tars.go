package tars

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Names of header fields.
const (
	// ServiceField holds the name of the servant that a request is for,
	// "App.Server.Obj".
	ServiceField = "service"
	// MethodField holds the function, as Method does. A request is sent with
	// the value of the field, unless Method was changed.
	MethodField = "method"
	// ResultField holds what an answer says of a failure (sResultDesc).
	ResultField = "tars-result-desc"
	// StatusPrefix is before the names of entries of the status map.
	StatusPrefix = "tars-status-"
)

// maxHead is the most bytes of a frame that are not payload.
const maxHead = 64 << 10

var (
	errLength  = errors.New("tars: no frame has such a length")
	errTooLong = errors.New("tars: the message is longer than a frame may be")
	errHead    = fmt.Errorf("tars: more than %d bytes beside the payload", maxHead)
	errService = errors.New("tars: a request needs the name of a servant, in the header field " + ServiceField)
	errID      = errors.New("tars: the id has another width, which SetID cannot change")
)

// Codec is the codec of Tars. It is safe for concurrent use.
type Codec struct{}

var _ frame.Elastic = Codec{}

// New makes the protocol, with zeros in opts for the defaults.
func New(opts frame.Options) protocol.Protocol { return frame.New(Codec{}, opts) }

// Name implements frame.Codec.
func (Codec) Name() string { return "tars" }

// Match implements frame.Codec. A first frame of 16 MiB or more is not
// recognised: it could be one of many protocols.
func (Codec) Match(prefix []byte) protocol.Verdict {
	switch {
	case len(prefix) > 0 && prefix[0] != 0,
		len(prefix) > 4 && prefix[4] != 1<<4|typeInt8:
		return protocol.No
	case len(prefix) < 6:
		return protocol.More
	}
	switch prefix[5] {
	case versionTars, versionTUP, versionJSON:
		return protocol.Match
	}
	return protocol.No
}

// MaxID implements frame.Codec: ids are signed.
func (Codec) MaxID() uint64 { return math.MaxInt32 }

// Size implements frame.Codec.
func (Codec) Size(b []byte) (int, error) {
	if len(b) < lengthSize {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(b)
	if n <= lengthSize || n > math.MaxInt32 {
		return 0, errLength
	}
	return int(n), nil
}

// Decode implements frame.Codec.
func (Codec) Decode(m *frame.Message) error {
	p, err := parse(m.Frame)
	if err != nil {
		return fmt.Errorf("tars: %w", err)
	}
	m.ID = uint64(uint32(p.id))
	m.Start, m.End = p.start, p.end
	switch {
	case !p.request && p.goesAway(m.Frame):
		m.Type = frame.GoAway
	case !p.request:
		m.Type = frame.Response
		m.Code, m.Status = int(p.ret), statusOf(p.ret)
	case p.version == versionTUP && m.FromHost:
		code := p.result(m.Frame)
		m.Type = frame.Response
		m.Code, m.Status = int(code), statusOf(code)
	default:
		m.Type = requestType(&p)
		m.Timeout = time.Duration(p.timeout) * time.Millisecond
		if p.timeout < 0 {
			m.Timeout = frame.Never
		}
	}
	return nil
}

// requestType says what a request is for.
func requestType(p *packet) frame.Type {
	switch {
	case string(p.function) == ping:
		return frame.Heartbeat
	case p.kind == oneWay:
		return frame.OneWay
	}
	return frame.Request
}

// Fields implements frame.Codec.
func (Codec) Fields(m *frame.Message) error {
	if len(m.Frame)-(m.End-m.Start) > maxHead {
		return errHead
	}
	p, err := parse(m.Frame)
	if err != nil {
		return fmt.Errorf("tars: %w", err)
	}
	h := m.Header
	if m.Type != frame.Response {
		m.Method = h.Intern(p.function)
		h.Add(ServiceField, h.Intern(p.servant))
		h.Add(MethodField, m.Method)
	}
	if err := p.fields(m.Frame, h, m.Type == frame.Response); err != nil {
		return fmt.Errorf("tars: %w", err)
	}
	return nil
}

// fields adds what comes behind the payload to h.
func (p *packet) fields(b []byte, h *stream.Header, answer bool) error {
	context, status, desc := 9, 7, 8
	if p.request {
		status, desc = 10, -1
	}
	for t := p.tail(b); ; {
		tag, typ, ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		switch tag {
		case context:
			err = t.context(typ, h)
		case status:
			err = t.status(typ, h, answer && p.request)
		case desc:
			var s []byte
			if s, err = t.string(typ); len(s) > 0 {
				h.Add(ResultField, h.Intern(s))
			}
		default:
			err = t.skip(typ, 0)
		}
		if err != nil {
			return err
		}
	}
}

// context adds the entries of the context map.
func (t *tail) context(typ byte, h *stream.Header) error {
	n, err := t.pairs(typ)
	for ; err == nil && n > 0; n-- {
		var k, v []byte
		if k, v, err = t.pair(); err == nil {
			h.AddBytes(k, v)
		}
	}
	return err
}

// status adds the entries of the status map. That of an answer of TUP holds the
// result, too.
func (t *tail) status(typ byte, h *stream.Header, tup bool) error {
	n, err := t.pairs(typ)
	for ; err == nil && n > 0; n-- {
		var k, v []byte
		if k, v, err = t.pair(); err != nil {
			break
		}
		switch {
		case tup && string(k) == resultCode:
		case tup && string(k) == resultDesc:
			h.Add(ResultField, h.Intern(v))
		default:
			h.Add(StatusPrefix+string(k), h.Intern(v))
		}
	}
	return err
}

// AppendID implements frame.Elastic.
func (Codec) AppendID(dst []byte, m *frame.Message, id uint64) []byte {
	p, err := parse(m.Frame)
	if err != nil {
		return append(dst, m.Frame[:m.Start]...) // Decode lets no such frame pass
	}
	start := len(dst)
	dst = append(dst, m.Frame[:p.idStart]...)
	dst = appendInt(dst, p.idTag(), int32(uint32(id)))
	size := len(m.Frame) + len(dst) - start - p.idEnd
	dst = append(dst, m.Frame[p.idEnd:m.Start]...)
	binary.BigEndian.PutUint32(dst[start:], uint32(size))
	return dst
}

// SetID implements frame.Codec for ids of the width that the frame's has. It
// panics with others: package frame calls AppendID instead.
func (Codec) SetID(b []byte, id uint64) {
	p, err := parse(b)
	if err != nil {
		panic(err)
	}
	var room [8]byte
	field := appendInt(room[:0], p.idTag(), int32(uint32(id)))
	if len(field) != p.idEnd-p.idStart {
		panic(errID)
	}
	copy(b[p.idStart:], field)
}
