package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What is in the frames of Dubbo 2, as far as this service needs it.
const (
	magic    = 0xdabb
	headSize = 16
	maxSize  = 1 << 20 // of a body

	// The flag, whose low five bits are the serialisation.
	request       = 0x80
	twoWay        = 0x40
	event         = 0x20
	serialisation = 0x1f
	hessian2      = 2

	success    = 20
	badRequest = 40
	notFound   = 60
)

// message is a request: a call, or an event such as a heartbeat.
type message struct {
	flag byte
	id   uint64
	body []byte
}

// oneWay reports whether nobody waits for an answer.
func (m *message) oneWay() bool { return m.flag&twoWay == 0 }

// read reads one request.
func read(r io.Reader) (*message, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	// head[3] is the status, which only answers have.
	m := &message{flag: head[2], id: binary.BigEndian.Uint64(head[4:])}
	size := binary.BigEndian.Uint32(head[12:])
	switch {
	case binary.BigEndian.Uint16(head[:]) != magic || m.flag&request == 0:
		return nil, errors.New("this is no request of Dubbo 2")
	case m.flag&serialisation != hessian2:
		return nil, fmt.Errorf("a request in serialisation %d, want 2, Hessian 2", m.flag&serialisation)
	case size > maxSize:
		return nil, fmt.Errorf("a request of %d bytes is too large", size)
	}
	m.body = make([]byte, size)
	_, err := io.ReadFull(r, m.body)
	return m, err
}

// reply returns the frame that answers the message.
func (m *message) reply(status byte, body []byte) []byte {
	b := []byte{magic >> 8, magic & 0xff, m.flag&event | hessian2, status}
	b = binary.BigEndian.AppendUint64(b, m.id)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// fail returns the frame that answers the message with an error: its body is
// nothing but the text.
func (m *message) fail(status byte, text string) []byte {
	return m.reply(status, appendString(nil, text))
}
