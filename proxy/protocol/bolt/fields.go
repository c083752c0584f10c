package bolt

import (
	"encoding/binary"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// Keys of the header block that mean something here.
const (
	service       = "service"
	targetService = "sofa_head_target_service"
	methodName    = "sofa_head_method_name"
)

// null is the length of a string that is none.
const null = 0xFFFFFFFF

// pairs goes through a header block.
type pairs struct{ left []byte }

// text takes a string; ok is false if it is null.
func (p *pairs) text() (s []byte, ok bool, err error) {
	if len(p.left) < 4 {
		return nil, false, errBlock
	}
	n := binary.BigEndian.Uint32(p.left)
	p.left = p.left[4:]
	switch {
	case n == null:
		return nil, false, nil
	case uint64(n) > uint64(len(p.left)):
		return nil, false, errBlock
	}
	s, p.left = p.left[:n], p.left[n:]
	return s, true, nil
}

// next returns the next pair of which neither is null; more is false at the end.
func (p *pairs) next() (key, value []byte, more bool, err error) {
	for len(p.left) > 0 {
		key, hasKey, err := p.text()
		if err != nil {
			return nil, nil, false, err
		}
		value, hasValue, err := p.text()
		if err != nil {
			return nil, nil, false, err
		}
		if hasKey && hasValue {
			return key, value, true, nil
		}
	}
	return nil, nil, false, nil
}

// Fields implements frame.Codec. One allocation holds all strings.
func (Codec) Fields(m *frame.Message) error {
	l, _, err := parse(m.Frame)
	if err != nil {
		return err
	}
	if l.header == l.content {
		return nil
	}
	block := m.Frame[l.header:l.content]
	text := m.Header.Intern(block)
	var target string
	hasService := false
	for p := (pairs{block}); ; {
		key, value, more, err := p.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		// Where the value is in the block, and before it its length and the key.
		to := len(block) - len(p.left)
		from := to - len(value)
		k, v := text[from-4-len(key):from-4], text[from:to]
		m.Header.Add(k, v)
		switch k {
		case service:
			hasService = true
		case targetService:
			target = v
		case methodName:
			m.Method = v
		}
	}
	if !hasService && target != "" {
		m.Header.Add(service, target)
	}
	return nil
}

// lacksService reports whether the field "service" of a message was added by
// Fields. f is the message's frame.
func lacksService(f []byte) bool {
	l, _, err := parse(f)
	if err != nil {
		return false
	}
	lacks := true
	for p := (pairs{f[l.header:l.content]}); ; {
		key, _, more, err := p.next()
		if err != nil || !more {
			return lacks
		}
		if string(key) == service {
			lacks = false
		}
	}
}
