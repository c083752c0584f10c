package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// most is the most bytes of class name and of header block: what Java takes for
// a positive number.
const most = math.MaxInt16

// own returns the frame of m if it is one of this package's.
func own(m *frame.Message) []byte {
	if m == nil {
		return nil
	}
	if _, ok := m.Codec().(Codec); !ok {
		return nil
	}
	return m.Frame
}

// head is what a frame has besides headers and content.
type head struct {
	code, version, kind byte
	command             uint16
	codec, switches     byte
	class               string
	classBytes          []byte // in place of class, if not nil
}

// like takes the version, and what goes with it, from a frame.
func (h *head) like(f []byte) {
	if h.code = f[0]; h.code == code2 {
		l, _, _ := parse(f)
		h.version, h.switches = f[1], f[l.special-1]
	}
}

// Append implements frame.Codec.
func (c Codec) Append(dst []byte, m *frame.Message) ([]byte, error) {
	h := head{code: code1, version: 1, kind: typeRequest, command: cmdRequest, codec: codecHessian}
	if c.v2 {
		h.code = code2
	}
	var special [4]byte
	width := 4
	origin := own(m.Origin)
	switch m.Type {
	case frame.Response, frame.HeartbeatReply:
		h.kind, h.command, width = typeResponse, cmdResponse, 2
		if req := own(m.Request); req != nil {
			h.like(req)
			if l, _, _ := parse(req); len(m.Body) > 0 {
				h.codec = req[l.codec()]
			}
		}
		if m.Type == frame.HeartbeatReply {
			h.command = cmdHeartbeat
			break
		}
		code := m.Code
		if code < 0 {
			code = c.statusOf(m.Status)
		}
		binary.BigEndian.PutUint16(special[:], uint16(code))
	case frame.GoAway:
		if c.v2 {
			return dst, fmt.Errorf("bolt: version 2 has no go-away: %w", errors.ErrUnsupported)
		}
		h.command = cmdGoAway
	case frame.Heartbeat:
		h.command = cmdHeartbeat
		binary.BigEndian.PutUint32(special[:], math.MaxUint32)
	case frame.Request, frame.OneWay:
		if m.Type == frame.OneWay {
			h.kind = typeOneWay
		}
		if origin != nil && origin[0] == h.code {
			h.like(origin)
		}
		binary.BigEndian.PutUint32(special[:], uint32(milliseconds(m.Timeout)))
	default:
		return dst, fmt.Errorf("bolt: messages of type %d: %w", m.Type, errors.ErrUnsupported)
	}
	if err := h.take(origin, m.Header); err != nil {
		return dst, err
	}
	return h.append(dst, m, special[:width], origin)
}

// take takes what else there is from the frame that a message was read from,
// or from header fields.
func (h *head) take(origin []byte, fields *stream.Header) error {
	if origin != nil {
		l, _, err := parse(origin)
		if err != nil {
			return err
		}
		h.codec, h.classBytes = origin[l.codec()], origin[l.class:l.header]
		return nil
	}
	h.class = fields.Get(ClassField)
	if text, ok := fields.Lookup(CodecField); ok {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return fmt.Errorf("bolt: the header field %s is no number below 256", CodecField)
		}
		h.codec = byte(n)
	}
	return nil
}

// append appends the whole frame.
func (h *head) append(dst []byte, m *frame.Message, special, origin []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, h.code)
	if h.code == code2 {
		dst = append(dst, h.version)
	}
	dst = append(dst, h.kind)
	dst = binary.BigEndian.AppendUint16(dst, h.command)
	dst = append(dst, 1) // the command's version
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.ID))
	dst = append(dst, h.codec)
	if h.code == code2 {
		dst = append(dst, h.switches)
	}
	dst = append(dst, special...)
	lengths := len(dst)
	dst = append(dst, make([]byte, 8)...)
	dst = append(dst, h.class...)
	dst = append(dst, h.classBytes...)
	block := len(dst)
	dst = appendFields(dst, m, origin)
	content := len(dst)
	dst = append(dst, m.Body...)
	if n := block - lengths - 8; n > most {
		return dst[:start], tooLarge("class name", n)
	} else if n = content - block; n > most {
		return dst[:start], tooLarge("header block", n)
	}
	binary.BigEndian.PutUint16(dst[lengths:], uint16(block-lengths-8))
	binary.BigEndian.PutUint16(dst[lengths+2:], uint16(content-block))
	binary.BigEndian.PutUint32(dst[lengths+4:], uint32(len(m.Body)))
	if h.code == code2 && h.version == 2 && h.switches&switchCRC != 0 {
		dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
	}
	return dst, nil
}

func tooLarge(what string, n int) error {
	return &stream.Error{Kind: stream.TooLarge, Op: "build a bolt frame", Err: fmt.Errorf("the %s has %d bytes, %d are possible", what, n, most)}
}

// appendFields appends the header block.
func appendFields(dst []byte, m *frame.Message, origin []byte) []byte {
	added := origin != nil && lacksService(origin)
	target, hasMethod := "", false
	if added {
		target = m.Header.Get(targetService)
	}
	renamed := m.Origin != nil && (m.Type == frame.Request || m.Type == frame.OneWay) && m.Method != ""
	for name, value := range m.Header.All() {
		switch {
		case stream.EqualName(name, frame.StatusField), stream.EqualName(name, ClassField), stream.EqualName(name, CodecField):
			continue
		case added && name == service && value == target:
			continue
		case renamed && name == methodName:
			value, hasMethod = m.Method, true
		}
		dst = appendPair(dst, name, value)
	}
	if renamed && !hasMethod {
		dst = appendPair(dst, methodName, m.Method)
	}
	return dst
}

func appendPair(dst []byte, key, value string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(key)))
	dst = append(dst, key...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// milliseconds returns what a frame says of a limit.
func milliseconds(d time.Duration) int32 {
	if d <= 0 || d >= frame.Never {
		return -1
	}
	return int32(min(max(d/time.Millisecond, 1), math.MaxInt32))
}
