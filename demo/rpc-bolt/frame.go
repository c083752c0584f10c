package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What is in the frames of Bolt, version 1, as far as this service needs it.
const (
	version1 = 1

	response = 0
	request  = 1
	oneWay   = 2

	heartbeat   = 0
	rpcResponse = 2

	success     = 0
	noProcessor = 6

	headSize = 22      // of a request
	maxSize  = 1 << 20 // of a content
)

// message is a request.
type message struct {
	kind    byte
	command uint16
	id      uint32
	codec   byte
	header  map[string]string
	content []byte
}

// read reads one request.
func read(r io.Reader) (*message, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	m := &message{
		kind:    head[1],
		command: binary.BigEndian.Uint16(head[2:]),
		id:      binary.BigEndian.Uint32(head[5:]), // head[4] is the command's version
		codec:   head[9],
	}
	// head[10:14] is how long the caller waits, in milliseconds.
	class, header, content := int(binary.BigEndian.Uint16(head[14:])), int(binary.BigEndian.Uint16(head[16:])), binary.BigEndian.Uint32(head[18:])
	switch {
	case head[0] != version1 || m.kind != request && m.kind != oneWay:
		return nil, errors.New("this is no request in version 1 of Bolt")
	case content > maxSize:
		return nil, fmt.Errorf("a request of %d bytes is too large", content)
	}
	rest := make([]byte, class+header+int(content))
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	var err error
	m.header, err = pairs(rest[class : class+header])
	m.content = rest[class+header:]
	return m, err
}

// pairs reads a header block: keys and values, each after its length.
func pairs(block []byte) (map[string]string, error) {
	header := make(map[string]string)
	var key string
	for isKey := true; len(block) > 0 || !isKey; isKey = !isKey {
		if len(block) < 4 || binary.BigEndian.Uint32(block) > uint32(len(block)-4) {
			return nil, errors.New("a malformed header block")
		}
		n := 4 + int(binary.BigEndian.Uint32(block))
		if isKey {
			key = string(block[4:n])
		} else {
			header[key] = string(block[4:n])
		}
		block = block[n:]
	}
	return header, nil
}

// reply returns the frame that answers the message.
func (m *message) reply(status uint16, header map[string]string, content string) []byte {
	var block []byte
	for key, value := range header {
		for _, s := range []string{key, value} {
			block = binary.BigEndian.AppendUint32(block, uint32(len(s)))
			block = append(block, s...)
		}
	}
	command := uint16(rpcResponse)
	if m.command == heartbeat {
		command = heartbeat
	}
	b := []byte{version1, response}
	b = binary.BigEndian.AppendUint16(b, command)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint32(b, m.id)
	b = append(b, m.codec)
	b = binary.BigEndian.AppendUint16(b, status)
	b = binary.BigEndian.AppendUint16(b, 0) // no class name
	b = binary.BigEndian.AppendUint16(b, uint16(len(block)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(content)))
	b = append(b, block...)
	return append(b, content...)
}
