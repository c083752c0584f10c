package stream

import (
	"iter"
	"unsafe"
)

// Field is one header field as it stood on the wire. Name keeps the case that
// the peer sent; comparison of names ignores ASCII case.
type Field struct {
	Name  string
	Value string
}

// Header is an ordered list of header fields. Repeated fields and their order
// are kept. The zero value is an empty header, ready to use.
//
// Strings handed out by a Header never change and may be kept: bytes are
// copied into memory that is only appended to. Header is not safe for
// concurrent use.
type Header struct {
	fields []Field
	arena  []byte
}

// arenaSize is how much memory a header takes at least, for short strings that
// come one by one. A whole message head gets a chunk of its own size.
const arenaSize = 256

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// At returns field i in wire order, 0 <= i < Len().
func (h *Header) At(i int) Field { return h.fields[i] }

// Get returns the value of the first field called name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the value of the first field called name, and whether there is one.
func (h *Header) Lookup(name string) (string, bool) {
	for i := range h.fields {
		if EqualName(h.fields[i].Name, name) {
			return h.fields[i].Value, true
		}
	}
	return "", false
}

// Values iterates over the values of all fields called name, in wire order.
func (h *Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.fields {
			if EqualName(h.fields[i].Name, name) && !yield(h.fields[i].Value) {
				return
			}
		}
	}
}

// All iterates over all fields in wire order. The header must not be changed meanwhile.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range h.fields {
			if !yield(h.fields[i].Name, h.fields[i].Value) {
				return
			}
		}
	}
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	h.fields = append(h.fields, Field{name, value})
}

// AddBytes appends a field, copying both slices.
func (h *Header) AddBytes(name, value []byte) {
	h.fields = append(h.fields, Field{h.Intern(name), h.Intern(value)})
}

// Intern copies b into the header's memory and returns it as a string that
// stays valid for as long as it is referenced.
func (h *Header) Intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > cap(h.arena)-len(h.arena) {
		// The full chunk is left to the strings that point into it.
		h.arena = make([]byte, 0, max(arenaSize, len(b)))
	}
	n := len(h.arena)
	h.arena = append(h.arena, b...)
	// Safe: arena bytes below len are never written again, and Reset drops
	// the chunk instead of reusing it.
	return unsafe.String(&h.arena[n], len(b))
}

// Set replaces the first field called name with value and drops the others of
// that name; without one it appends.
func (h *Header) Set(name, value string) {
	for i := range h.fields {
		if EqualName(h.fields[i].Name, name) {
			h.fields[i].Value = value
			h.deleteFrom(i+1, name)
			return
		}
	}
	h.Add(name, value)
}

// Del drops all fields called name.
func (h *Header) Del(name string) { h.deleteFrom(0, name) }

// DelFunc drops all fields for which drop returns true.
func (h *Header) DelFunc(drop func(Field) bool) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !drop(f) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
}

func (h *Header) deleteFrom(start int, name string) {
	n := start
	for i := start; i < len(h.fields); i++ {
		if EqualName(h.fields[i].Name, name) {
			continue
		}
		h.fields[n] = h.fields[i]
		n++
	}
	clear(h.fields[n:])
	h.fields = h.fields[:n]
}

// Reset empties the header, keeping room for as many fields. Strings handed
// out before stay valid.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
	h.arena = nil
}

// CopyFrom replaces the content of h by that of src. The two share no memory
// that either may write.
func (h *Header) CopyFrom(src *Header) {
	if h == src {
		return
	}
	h.Reset()
	h.fields = append(h.fields, src.fields...)
}

// EqualName reports whether two field names are equal, ignoring ASCII case.
func EqualName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x != y && lower(x) != lower(y) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
