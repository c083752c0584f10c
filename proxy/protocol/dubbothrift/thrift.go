package dubbothrift

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// The head of a frame: length (of what comes after it), magic, length again,
// length of the head from the magic on, version, service, whatever else, id.
const (
	magicAt      = 4
	againAt      = 6
	headLengthAt = 10
	versionAt    = 12
	serviceAt    = 13
	idLength     = 8
	// minHead is a head without a service, from the magic on.
	minHead = serviceAt + 4 + idLength - magicAt
	// minMessage is Thrift's version and type, an empty name, and a number.
	minMessage = 12

	magic         = 0xdabc
	version       = 1
	thriftVersion = 0x80010000
)

// Types of Thrift's messages. Those of answers are their statuses.
const (
	call      = 1
	Reply     = 2
	Exception = 3
	oneWay    = 4
)

// Names of header fields.
const (
	fieldService = "service"
	fieldMethod  = "method"
)

var (
	errMagic   = errors.New("dubbothrift: the frame has not 0xdabc behind its length")
	errLength  = errors.New("dubbothrift: the frame has no length that can be")
	errHead    = errors.New("dubbothrift: the length of the head, or of the service in it, does not fit the frame")
	errMessage = errors.New("dubbothrift: the frame holds no message in Thrift's strict binary protocol")
)

// Codec is the codec of dubbo-thrift.
type Codec struct{}

var _ frame.Codec = Codec{}

// Name implements frame.Codec.
func (Codec) Name() string { return "dubbothrift" }

// Aliases implements frame.Aliased with MOSN's name.
func (Codec) Aliases() []string { return []string{"dubbo-thrift"} }

// Match implements frame.Codec.
func (Codec) Match(prefix []byte) protocol.Verdict {
	for i, want := range [...]byte{magic >> 8, magic & 0xff} {
		switch {
		case len(prefix) <= magicAt+i:
			return protocol.More
		case prefix[magicAt+i] != want:
			return protocol.No
		}
	}
	return protocol.Match
}

// MaxID implements frame.Codec. Ids are Java's long.
func (Codec) MaxID() uint64 { return math.MaxInt64 }

// Size implements frame.Codec.
func (c Codec) Size(b []byte) (int, error) {
	switch c.Match(b) {
	case protocol.More:
		return 0, nil
	case protocol.No:
		return 0, errMagic
	}
	n := binary.BigEndian.Uint32(b)
	if n < minHead+minMessage || n > math.MaxInt32-magicAt {
		return 0, errLength
	}
	return magicAt + int(n), nil
}

// layout says where things are in a frame.
type layout struct {
	service, serviceEnd int
	id                  int
	kind                byte
	method, methodEnd   int
	payload             int
}

// parse looks at a whole frame.
func parse(b []byte) (l layout, err error) {
	message := magicAt + int(binary.BigEndian.Uint16(b[headLengthAt:]))
	l.id = message - idLength
	l.service = serviceAt + 4
	room := l.id - l.service // for the service
	if room < 0 || len(b)-message < minMessage {
		return l, errHead
	}
	n := binary.BigEndian.Uint32(b[serviceAt:])
	if n > uint32(room) {
		return l, errHead
	}
	l.serviceEnd = l.service + int(n)
	kind := binary.BigEndian.Uint32(b[message:])
	l.kind = byte(kind)
	if kind != thriftVersion|uint32(l.kind) || l.kind < call || l.kind > oneWay {
		return l, errMessage
	}
	l.method = message + 8
	n = binary.BigEndian.Uint32(b[message+4:])
	if n > uint32(len(b)-message-minMessage) {
		return l, errMessage
	}
	l.methodEnd = l.method + int(n)
	l.payload = l.methodEnd + 4
	return l, nil
}

// Decode implements frame.Codec.
func (Codec) Decode(m *frame.Message) error {
	b := m.Frame
	l, err := parse(b)
	if err != nil {
		return err
	}
	m.ID = binary.BigEndian.Uint64(b[l.id:])
	m.Start, m.End = l.payload, len(b)
	switch l.kind {
	case call:
		m.Type = frame.Request
	case oneWay:
		m.Type = frame.OneWay
	default:
		m.Type, m.Code, m.Status = frame.Response, int(l.kind), 200
		if l.kind == Exception {
			m.Status = exceptionStatus(b[l.payload:])
		}
	}
	return nil
}

// Fields implements frame.Codec.
func (Codec) Fields(m *frame.Message) error {
	if m.Type == frame.Response {
		return nil
	}
	l, err := parse(m.Frame)
	if err != nil {
		return err
	}
	// Both strings are copied at one go: there is little between them.
	both := m.Header.Intern(m.Frame[l.service:l.methodEnd])
	m.Method = both[l.method-l.service:]
	m.Header.Add(fieldService, both[:l.serviceEnd-l.service])
	m.Header.Add(fieldMethod, m.Method)
	return nil
}

// SetID implements frame.Codec.
func (Codec) SetID(b []byte, id uint64) {
	at := magicAt + int(binary.BigEndian.Uint16(b[headLengthAt:])) - idLength
	binary.BigEndian.PutUint64(b[at:], id)
}
