package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// Names of the protocols in configurations.
const (
	Name   = "bolt"
	NameV2 = "boltv2"
)

// Header fields that stand for parts of a frame. They are obeyed where a frame is
// built that was none before, and never sent.
const (
	ClassField = "bolt-class" // the class name
	CodecField = "bolt-codec" // the serialisation, a number: 1 Hessian, 11 protobuf
)

// Codec reads both versions, and begins with one. The zero value is version 1.
type Codec struct{ v2 bool }

// V1 and V2 return the codecs of the two versions.
func V1() Codec { return Codec{} }
func V2() Codec { return Codec{v2: true} }

var _ frame.Codec = Codec{}

// New makes the protocol of a codec; opts are as for frame.New.
func New(c Codec, opts frame.Options) protocol.Protocol {
	p := frame.New(c, opts)
	one := single{p.(framed)}
	if _, ok := p.(protocol.Multiplexed); ok {
		return multiplexed{one}
	}
	return one
}

// single is a protocol with an option of old; multiplexed one whose connections
// are shared.
type (
	single      struct{ framed }
	multiplexed struct{ single }
	framed      interface {
		protocol.Framed
		protocol.Aliased
	}
)

var _ protocol.Multiplexed = multiplexed{}

// Multiplexed implements protocol.Multiplexed.
func (multiplexed) Multiplexed() {}

// NewServer implements protocol.Protocol.
func (p single) NewServer(opts protocol.ServerOptions) (protocol.Server, error) {
	return p.framed.NewServer(rename(opts))
}

// Aliases implements frame.Aliased with MOSN's name of old.
func (c Codec) Aliases() []string {
	if c.v2 {
		return nil
	}
	return []string{"SofaRpc"}
}

// rename gives an option that MOSN has under another name the one it has here.
func rename(opts protocol.ServerOptions) protocol.ServerOptions {
	const theirs, ours = "enable_bolt_goaway", "enable_goaway"
	value, ok := opts.Extend[theirs]
	if !ok {
		return opts
	}
	opts.Extend = maps.Clone(opts.Extend)
	delete(opts.Extend, theirs)
	if _, both := opts.Extend[ours]; !both {
		opts.Extend[ours] = value
	}
	return opts
}

// Name implements frame.Codec.
func (c Codec) Name() string {
	if c.v2 {
		return NameV2
	}
	return Name
}

// MaxID implements frame.Codec. Java reads ids as signed.
func (Codec) MaxID() uint64 { return math.MaxInt32 }

// Match implements frame.Codec.
func (c Codec) Match(prefix []byte) protocol.Verdict {
	switch {
	case len(prefix) == 0:
		return protocol.More
	case prefix[0] == code1 && !c.v2, prefix[0] == code2 && c.v2:
		return protocol.Match
	}
	return protocol.No
}

// Values in frames.
const (
	code1, code2 = 1, 2 // protocol codes

	typeResponse, typeRequest, typeOneWay = 0, 1, 2

	cmdHeartbeat, cmdRequest, cmdResponse, cmdGoAway = 0, 1, 2, 100

	codecHessian = 1
	switchCRC    = 1
	crcSize      = 4
)

// layout says where in a frame things are.
type layout struct {
	kind byte
	cmd  int // offset of the command code; the id, and the codec after it, follow
	// special is the offset of the timeout or the status.
	special int
	// class, header, content and end are offsets; each part ends where the
	// next begins. A checksum follows at end.
	class, header, content, end int
	crc                         bool
}

func (l *layout) id() int    { return l.cmd + 3 }
func (l *layout) codec() int { return l.cmd + 7 }

// size returns the length of the frame.
func (l *layout) size() int {
	if l.crc {
		return l.end + crcSize
	}
	return l.end
}

var (
	errCode    = errors.New("bolt: the first byte is neither 1 nor 2")
	errVersion = errors.New("bolt: unknown version of protocol 2")
	errKind    = errors.New("bolt: neither a request nor a response")
	errLength  = errors.New("bolt: a negative length")
	errCRC     = errors.New("bolt: the checksum is wrong")
	errBlock   = errors.New("bolt: malformed header block")
)

// parse finds out where things are in the frame that b begins with; whole is
// false when b is too short to tell.
func parse(b []byte) (l layout, whole bool, err error) {
	if len(b) == 0 {
		return l, false, nil
	}
	base := 0 // how much further version 2 has the type
	switch b[0] {
	case code1:
	case code2:
		base = 1
		if len(b) > 1 && b[1] != 1 && b[1] != 2 {
			return l, false, errVersion
		}
	default:
		return l, false, errCode
	}
	if len(b) < base+2 {
		return l, false, nil
	}
	if l.kind = b[base+1]; l.kind > typeOneWay {
		return l, false, errKind
	}
	l.cmd = base + 2
	l.special = l.codec() + 1 + base // version 2 has the switch in between
	lengths := l.special + 4
	if l.kind == typeResponse {
		lengths = l.special + 2
	}
	l.class = lengths + 8
	if len(b) < l.class {
		return l, false, nil
	}
	l.crc = b[0] == code2 && b[1] == 2 && b[l.special-1]&switchCRC != 0
	n := binary.BigEndian.Uint32(b[lengths+4:])
	if n > math.MaxInt32-1<<20 {
		return l, false, errLength
	}
	l.header = l.class + int(binary.BigEndian.Uint16(b[lengths:]))
	l.content = l.header + int(binary.BigEndian.Uint16(b[lengths+2:]))
	l.end = l.content + int(n)
	return l, true, nil
}

// Size implements frame.Codec.
func (Codec) Size(b []byte) (int, error) {
	l, whole, err := parse(b)
	if !whole {
		return 0, err
	}
	return l.size(), nil
}

// Decode implements frame.Codec.
func (Codec) Decode(m *frame.Message) error {
	f := m.Frame
	l, whole, err := parse(f)
	if err != nil {
		return err
	}
	if !whole || len(f) != l.size() {
		return fmt.Errorf("bolt: a frame of %d bytes is not whole", len(f))
	}
	if l.crc && binary.BigEndian.Uint32(f[l.end:]) != crc32.ChecksumIEEE(f[:l.end]) {
		return errCRC
	}
	m.ID = uint64(binary.BigEndian.Uint32(f[l.id():]))
	m.Start, m.End = l.content, l.end
	command := binary.BigEndian.Uint16(f[l.cmd:])
	switch {
	case l.kind == typeResponse && command == cmdHeartbeat:
		m.Type = frame.HeartbeatReply
	case l.kind == typeResponse:
		m.Type = frame.Response
		m.Code = int(binary.BigEndian.Uint16(f[l.special:]))
		m.Status, m.Refused = httpStatus(m.Code), refused(m.Code)
	case command == cmdGoAway:
		m.Type = frame.GoAway
	case command == cmdHeartbeat && l.kind == typeOneWay:
		m.Type = frame.HeartbeatReply // wants no answer
	case command == cmdHeartbeat:
		m.Type = frame.Heartbeat
	default:
		m.Type = frame.Request
		if l.kind == typeOneWay {
			m.Type = frame.OneWay
		}
		m.Timeout = timeout(int32(binary.BigEndian.Uint32(f[l.special:])))
	}
	return nil
}

func timeout(ms int32) time.Duration {
	if ms < 0 {
		return frame.Never
	}
	return time.Duration(ms) * time.Millisecond
}

// SetID implements frame.Codec.
func (Codec) SetID(f []byte, id uint64) {
	l, _, _ := parse(f)
	binary.BigEndian.PutUint32(f[l.id():], uint32(id))
	if l.crc {
		binary.BigEndian.PutUint32(f[l.end:], crc32.ChecksumIEEE(f[:l.end]))
	}
}
