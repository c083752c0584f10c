package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// Hessian 2, of which this demo knows strings, a map of them, and null.
const (
	null     = 'N'
	openMap  = 'H'
	closeMap = 'Z'
	chunk    = 'R' // a piece of a string, others follow
	final    = 'S' // the last piece of a long one

	maxChunk = 0x8000 // UTF-16 units in a piece
)

var errEnds = errors.New("hessian: it ends too early")

// appendString appends a string. Its length is counted in UTF-16 units, and each
// unit is written as if it were a character, as Java does it.
func appendString(b []byte, s string) []byte {
	units := utf16.Encode([]rune(s))
	for len(units) > maxChunk {
		b = appendUnits(append(b, chunk, maxChunk>>8, maxChunk&0xff), units[:maxChunk])
		units = units[maxChunk:]
	}
	if len(units) < 0x20 {
		b = append(b, byte(len(units)))
	} else {
		b = append(b, final, byte(len(units)>>8), byte(len(units)))
	}
	return appendUnits(b, units)
}

func appendUnits(b []byte, units []uint16) []byte {
	for _, u := range units {
		switch {
		case u < 0x80:
			b = append(b, byte(u))
		case u < 0x800:
			b = append(b, 0xc0|byte(u>>6), 0x80|byte(u)&0x3f)
		default:
			b = append(b, 0xe0|byte(u>>12), 0x80|byte(u>>6)&0x3f, 0x80|byte(u)&0x3f)
		}
	}
	return b
}

// appendMap appends a map of strings.
func appendMap(b []byte, m map[string]string) []byte {
	b = append(b, openMap)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, key), m[key])
	}
	return append(b, closeMap)
}

// reader reads values one after the other. Once err is set all that it returns
// is empty.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.b, r.err = nil, err
	}
}

func (r *reader) next() byte {
	if len(r.b) == 0 {
		r.fail(errEnds)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// string reads a string; null is an empty one.
func (r *reader) string() string {
	if len(r.b) > 0 && r.b[0] == null {
		r.next()
		return ""
	}
	var units []uint16
	for r.err == nil {
		tag := r.next()
		var n int
		switch {
		case tag < 0x20:
			n = int(tag)
		case tag >= 0x30 && tag <= 0x33:
			n = int(tag-0x30)<<8 | int(r.next())
		case tag == chunk || tag == final:
			n = int(r.next())<<8 | int(r.next())
		default:
			r.fail(fmt.Errorf("hessian: 0x%02x where a string begins", tag))
		}
		units = r.units(units, n)
		if tag != chunk {
			break
		}
	}
	return string(utf16.Decode(units))
}

// units reads n UTF-16 units.
func (r *reader) units(units []uint16, n int) []uint16 {
	for end := len(units) + n; len(units) < end && r.err == nil; {
		c := r.next()
		size := 0 // of what follows
		switch {
		case c < 0x80:
		case c&0xe0 == 0xc0:
			c, size = c&0x1f, 1
		case c&0xf0 == 0xe0:
			c, size = c&0x0f, 2
		case c&0xf8 == 0xf0: // both units at once, as UTF-8 has them
			c, size = c&0x07, 3
		default:
			r.fail(fmt.Errorf("hessian: 0x%02x where a character begins", c))
		}
		char := rune(c)
		for range size {
			char = char<<6 | rune(r.next()&0x3f)
		}
		if size < 3 {
			units = append(units, uint16(char))
		} else {
			units = utf16.AppendRune(units, char)
		}
	}
	return units
}

// strings reads a map of strings; null is an empty one.
func (r *reader) strings() map[string]string {
	m := make(map[string]string)
	switch tag := r.next(); {
	case r.err != nil || tag == null:
		return m
	case tag != openMap:
		r.fail(fmt.Errorf("hessian: 0x%02x where a map begins", tag))
	}
	for r.err == nil {
		if len(r.b) > 0 && r.b[0] == closeMap {
			r.next()
			break
		}
		key := r.string()
		m[key] = r.string()
	}
	return m
}

// What Dubbo makes of these: calls and answers.
const (
	protocolVersion = "2.0.2"
	noVersion       = "0.0.0" // of a service that has none
	stringType      = "Ljava/lang/String;"

	// An answer begins with a number: what it is.
	isValue         = 0x91
	isValueAttached = 0x94 // attachments follow
)

// invocation is a call of a method whose parameters are strings.
type invocation struct {
	service, version, method string
	args                     []string
	attachments              map[string]string
}

// body returns the body of the call's frame.
func (c *invocation) body() []byte {
	var b []byte
	for _, s := range []string{protocolVersion, c.service, c.version, c.method, strings.Repeat(stringType, len(c.args))} {
		b = appendString(b, s)
	}
	for _, arg := range c.args {
		b = appendString(b, arg)
	}
	return appendMap(b, c.attachments)
}

// parseInvocation reads the body of a call's frame.
func parseInvocation(body []byte) (*invocation, error) {
	r := reader{b: body}
	_ = r.string() // the protocol's version
	c := &invocation{service: r.string(), version: r.string(), method: r.string()}
	types := r.string()
	for ; strings.HasPrefix(types, stringType); types = types[len(stringType):] {
		c.args = append(c.args, r.string())
	}
	if types != "" {
		r.fail(fmt.Errorf("a parameter of type %q, want strings", types))
	}
	c.attachments = r.strings()
	return c, r.err
}

// appendAnswer appends the body of an answer that is a string.
func appendAnswer(b []byte, value string, attachments map[string]string) []byte {
	return appendMap(appendString(append(b, isValueAttached), value), attachments)
}

// parseAnswer reads the body of an answer that is a string.
func parseAnswer(body []byte) (value string, attachments map[string]string, err error) {
	r := reader{b: body}
	kind := r.next()
	if kind != isValue && kind != isValueAttached {
		r.fail(fmt.Errorf("an answer of kind 0x%02x, want a string", kind))
	}
	value = r.string()
	if kind == isValueAttached {
		attachments = r.strings()
	}
	return value, attachments, r.err
}
