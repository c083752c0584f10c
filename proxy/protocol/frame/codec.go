package frame

import (
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Type is what a message is for.
type Type uint8

// Types of messages.
const (
	Request        Type = iota // wants an answer
	OneWay                     // a request that gets no answer
	Response                   // the answer to a Request
	Heartbeat                  // asks whether the peer is alive; wants a HeartbeatReply
	HeartbeatReply             // the answer to a Heartbeat
	GoAway                     // the sender wants no more requests on this connection
)

// StatusField is the header field of an answer that holds the protocol's own
// status, in decimal. Codecs prefer it to Message.Status when they build an
// answer that came by another protocol, and never send it.
const StatusField = "rpc-status"

// Never is what a codec puts into Message.Timeout for a caller that asks for no
// limit at all, instead of saying nothing about one.
const Never = 7 * 24 * time.Hour

// Codec is a wire protocol as its author writes it. Its methods keep nothing of
// what they are given, and are called from any goroutine. It must be comparable
// with ==; messages of equal codecs are forwarded as they are.
type Codec interface {
	// Name is the protocol's name in configurations: "bolt".
	Name() string
	// Match looks at the first bytes of a connection; see protocol.Protocol.
	Match(prefix []byte) protocol.Verdict
	// MaxID is the largest request id. Ids are counted from 1 to it, and again.
	MaxID() uint64
	// Size returns how many bytes the frame has that b begins with: all of it,
	// head and payload. 0 means that more of it has to be seen first, which
	// must be so for less than 256 bytes. An error says that b is no frame,
	// and ends the connection. No more than Size says is taken from a connection.
	Size(b []byte) (int, error)
	// Decode looks at m.Frame, which is whole, and sets Type, ID, Start and End;
	// for requests Timeout; for answers Code, Status and Refused. It allocates nothing.
	// An error ends the connection.
	Decode(m *Message) error
	// Fields reads what m.Frame, a request or an answer, tells besides: it adds
	// fields to m.Header, with strings from Header.Intern, and sets Method. An
	// error fails this message, and no other.
	Fields(m *Message) error
	// SetID puts another request id into a whole frame, and whatever depends
	// on it.
	SetID(frame []byte, id uint64)
	// Append builds a frame of m.Type, m.ID, m.Method, m.Header, m.Body, and
	// Timeout, or Code and Status, and appends it to dst. What has no place in
	// these is taken from m.Origin and m.Request, as far as there is one; both
	// may be messages of other codecs. A type that the protocol does not have is
	// errors.ErrUnsupported.
	Append(dst []byte, m *Message) ([]byte, error)
	// Reply returns what answers req, for Append: to a Heartbeat (e is nil), or
	// to a Request that failed on the way because of e. ID and Request are set
	// by the caller.
	Reply(req *Message, e *stream.Error) Message
}

// Elastic is a Codec whose ids have no fixed width, so that another id may
// change the length of a frame. AppendID is called in place of SetID.
type Elastic interface {
	Codec
	// AppendID appends m.Frame[:m.Start] to dst, with another request id, and
	// the length, if it is there, that the whole frame has then. It must not
	// allocate but to grow dst.
	AppendID(dst []byte, m *Message, id uint64) []byte
}

// Message is one frame, read or to be written.
type Message struct {
	// Type is what it is for; ID pairs requests and answers.
	Type Type
	ID   uint64
	// FromHost tells, before Decode, that a host has sent it: there are
	// protocols in which an answer looks like a request.
	FromHost bool
	// Timeout is a request's own limit, as the caller has it; 0: it says
	// nothing about one.
	Timeout time.Duration
	// Code is an answer's status in the protocol's own terms, and Status the
	// HTTP status that it stands for. Code is -1 in an answer to be built of
	// which only Status is known.
	Code   int
	Status int
	// Refused tells of an answer that it blames the call, and says nothing about
	// how the host is, although Status is one from 500 on.
	Refused bool

	// Frame holds the bytes of a message that was read, from the first to the
	// last. Nobody writes to them. Frame[Start:End] is the payload.
	Frame      []byte
	Start, End int

	// Method is the method called. Header is never nil in Fields and Append.
	Method string
	Header *stream.Header

	// Body is the payload of a message that is to be built.
	Body []byte
	// Origin is the message that one to be built was read from, before it was
	// changed; nil if it was not read by a codec of this package.
	Origin *Message
	// Request is what an answer to be built answers.
	Request *Message

	codec Codec
	// read is Header as Fields has left it.
	read []stream.Field
	from *chunk
}

// Parse reads f, which is a whole frame, with its fields. The message refers to f.
func Parse(codec Codec, f []byte) (*Message, error) {
	m := &Message{Frame: f, codec: codec}
	if err := codec.Decode(m); err != nil {
		return nil, err
	}
	switch m.Type {
	case Request, OneWay, Response:
		return m, m.fields(new(stream.Header))
	}
	m.Header = new(stream.Header)
	return m, nil
}

// Codec returns the codec that has read the message.
func (m *Message) Codec() Codec { return m.codec }

// Payload returns the payload of a message that was read.
func (m *Message) Payload() []byte { return m.Frame[m.Start:m.End] }

// FailureCode implements stream.Coder.
func (m *Message) FailureCode(e *stream.Error) string {
	reply := m.codec.Reply(m, e)
	reply.Request = m
	if reply.Header == nil {
		reply.Header = new(stream.Header)
	}
	f, err := m.codec.Append(nil, &reply)
	if err != nil {
		return ""
	}
	return codeOf(m.codec, f)
}

// codeOf returns the status in a whole frame that was built here.
func codeOf(codec Codec, f []byte) string {
	m := Message{Frame: f, FromHost: true}
	if codec.Decode(&m) != nil {
		return ""
	}
	return number(m.Code)
}

// RefusesCall implements stream.Refusal.
func (m *Message) RefusesCall() bool { return m.Refused }

// reset forgets the message, and keeps the memory.
func (m *Message) reset() {
	clear(m.read)
	*m = Message{read: m.read[:0]}
}

// fields reads the message's fields into h.
func (m *Message) fields(h *stream.Header) error {
	m.Header = h
	if err := m.codec.Fields(m); err != nil {
		return err
	}
	if m.Type == Response {
		h.Del(StatusField) // a host may say what it likes by that name
		h.Add(StatusField, number(m.Code))
	}
	for i := range h.Len() {
		m.read = append(m.read, h.At(i))
	}
	return nil
}

// untouched reports whether h holds what was read. Strings that nobody has
// replaced are equal by where they are, so this is quick.
func (m *Message) untouched(h *stream.Header) bool {
	if h.Len() != len(m.read) {
		return false
	}
	for i := range m.read {
		if h.At(i) != m.read[i] {
			return false
		}
	}
	return true
}
