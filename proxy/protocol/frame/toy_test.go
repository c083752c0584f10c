package frame_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame/frametest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// toy is a protocol that was made up to show what a codec is. A frame is
//
//	'T' type(1) status(1) id(2) length of name(1) length of payload(4) name payload
//
// with numbers in big-endian order. The name is "service.method", in requests.
type toy struct{}

const toyHead = 10

// Types on the wire.
var toyTypes = map[byte]frame.Type{
	'?': frame.Request, '!': frame.OneWay, '=': frame.Response, 'p': frame.Heartbeat, 'q': frame.HeartbeatReply, 'x': frame.GoAway,
}

func (toy) Name() string  { return "toy" }
func (toy) MaxID() uint64 { return math.MaxUint16 }

func (toy) Match(prefix []byte) protocol.Verdict {
	switch {
	case len(prefix) > 0 && prefix[0] != 'T':
		return protocol.No
	case len(prefix) < 2:
		return protocol.More
	}
	if _, ok := toyTypes[prefix[1]]; !ok {
		return protocol.No
	}
	return protocol.Match
}

func (toy) Size(b []byte) (int, error) {
	if len(b) > 0 && b[0] != 'T' {
		return 0, errors.New("toy: a frame begins with T")
	}
	if len(b) < toyHead {
		return 0, nil
	}
	return toyHead + int(b[5]) + int(binary.BigEndian.Uint32(b[6:])), nil
}

func (toy) Decode(m *frame.Message) error {
	f, ok := m.Frame, false
	if m.Type, ok = toyTypes[f[1]]; !ok {
		return fmt.Errorf("toy: unknown type %q", f[1])
	}
	m.ID = uint64(binary.BigEndian.Uint16(f[3:]))
	m.Start, m.End = toyHead+int(f[5]), len(f)
	if m.Type == frame.Response {
		m.Code, m.Status = int(f[2]), 200
		if m.Code != 0 {
			m.Status = 500 + m.Code%100
		}
	}
	return nil
}

func (toy) Fields(m *frame.Message) error {
	name := m.Header.Intern(m.Frame[toyHead:m.Start])
	for i := range name {
		if name[i] == '.' {
			m.Header.Add("service", name[:i])
			m.Method = name[i+1:]
			return nil
		}
	}
	if m.Type == frame.Response {
		return nil
	}
	return fmt.Errorf("toy: %q is not service.method", name)
}

func (toy) SetID(f []byte, id uint64) { binary.BigEndian.PutUint16(f[3:], uint16(id)) }

func (toy) Append(dst []byte, m *frame.Message) ([]byte, error) {
	var kind byte
	for k, t := range toyTypes {
		if t == m.Type {
			kind = k
		}
	}
	if kind == 0 {
		return dst, errors.ErrUnsupported
	}
	name := ""
	if m.Type == frame.Request || m.Type == frame.OneWay {
		name = m.Header.Get("service") + "." + m.Method
	}
	code := m.Code
	if m.Type == frame.Response && code < 0 {
		if code = 0; m.Status >= 400 {
			code = m.Status % 100
			if m.Status < 500 || code == 0 {
				code = 99
			}
		}
	}
	if len(name) > 255 {
		return dst, errors.New("toy: the name has more than 255 bytes")
	}
	dst = append(dst, 'T', kind, byte(max(code, 0)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.ID))
	dst = append(dst, byte(len(name)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Body)))
	dst = append(dst, name...)
	return append(dst, m.Body...), nil
}

func (toy) Reply(_ *frame.Message, e *stream.Error) frame.Message {
	if e == nil {
		return frame.Message{Type: frame.HeartbeatReply}
	}
	return frame.Message{Type: frame.Response, Code: -1, Status: e.Status(), Body: []byte(e.Kind.String())}
}

func toySamples() frametest.Samples {
	return frametest.Samples{
		Request:        []byte("T?\x00\x00\x01\x08\x00\x00\x00\x05pay.cashhello"),
		OneWay:         []byte("T!\x00\x00\x02\x08\x00\x00\x00\x05pay.cashhello"),
		Response:       []byte("T=\x00\x00\x01\x00\x00\x00\x00\x05world"),
		Heartbeat:      []byte("Tp\x00\x00\x03\x00\x00\x00\x00\x00"),
		HeartbeatReply: []byte("Tq\x00\x00\x03\x00\x00\x00\x00\x00"),
		GoAway:         []byte("Tx\x00\x00\x00\x00\x00\x00\x00\x00"),
		More:           [][]byte{[]byte("T=\x04\x00\x01\x00\x00\x00\x00\x00")},
		Garbage:        [][]byte{[]byte("x"), []byte("Tz\x00\x00\x01\x00\x00\x00\x00\x00")},
	}
}

func TestToy(t *testing.T) { frametest.Run(t, toy{}, toySamples()) }

func FuzzToy(f *testing.F) { frametest.Fuzz(f, toy{}, toySamples()) }
