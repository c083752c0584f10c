package hessian

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	hessian2 "github.com/apache/dubbo-go-hessian2"
)

// MaxDepth is how deep values may be nested.
const MaxDepth = 200

// Writer writes values in Hessian 2, one after the other. It is not safe for
// concurrent use.
type Writer struct {
	enc     *hessian2.Encoder
	classes map[string]int // definitions, by name and field
}

// NewWriter makes a Writer.
func NewWriter() *Writer { return &Writer{enc: hessian2.NewEncoder()} }

// Bytes returns all that was written.
func (w *Writer) Bytes() []byte { return w.enc.Buffer() }

// Raw appends bytes that are Hessian 2 already.
func (w *Writer) Raw(b ...byte) { w.enc.Append(b) }

// Null writes a null.
func (w *Writer) Null() { w.Raw('N') }

// String writes a string. What is no UTF-8 in it is replaced.
func (w *Writer) String(s string) { w.put(s) }

// Int writes an int.
func (w *Writer) Int(n int32) { w.put(n) }

// put writes a value of a plain type, which cannot fail.
func (w *Writer) put(v any) { _ = w.enc.Encode(v) }

// JSON writes a JSON value, which must be whole, as one of type t.
func (w *Writer) JSON(value []byte, t Type) error {
	if err := Check(value); err != nil {
		return err
	}
	c := cursor{b: value}
	c.count()
	return w.value(&c, t, 0)
}

// Check returns nil if b is one JSON value, else an error that says where it is not.
func Check(b []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(b, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("no JSON, at byte %d: %w", syntax.Offset, err)
	}
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	return nil
}

// Elements returns the elements of a JSON array; ok is false if b is none, or no
// JSON.
func Elements(b []byte) (elements []json.RawMessage, ok bool) {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '[' || json.Unmarshal(b, &elements) != nil {
		return nil, false
	}
	return elements, true
}

// cursor goes through JSON that is known to be right.
type cursor struct {
	b []byte
	i int
	// lengths are those of the arrays, in the order in which they begin.
	lengths []int
}

// count fills lengths.
func (c *cursor) count() {
	var open []int // index in lengths; -1 is an object
	fresh := false // an array or object has just begun
	for i := 0; i < len(c.b); i++ {
		switch ch := c.b[i]; ch {
		case ' ', '\t', '\r', '\n':
			continue
		case ']', '}':
			open = open[:len(open)-1]
			fresh = false
			continue
		case ',':
			fresh = true // the next value is one more
			continue
		case ':':
			continue
		}
		if fresh {
			if at := open[len(open)-1]; at >= 0 {
				c.lengths[at]++
			}
		}
		fresh = false
		switch c.b[i] {
		case '[':
			open = append(open, len(c.lengths))
			c.lengths = append(c.lengths, 0)
			fresh = true
		case '{':
			open = append(open, -1)
			fresh = true
		case '"':
			i = endOfString(c.b, i) - 1
		}
	}
}

// endOfString returns where the string that begins at i ends.
func endOfString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// peek returns the next character that is no blank.
func (c *cursor) peek() byte {
	for {
		switch ch := c.b[c.i]; ch {
		case ' ', '\t', '\r', '\n', ',', ':':
			c.i++
		default:
			return ch
		}
	}
}

// scalar takes a number, a boolean or a null.
func (c *cursor) scalar() string {
	c.peek()
	start := c.i
	for c.i < len(c.b) && !strings.ContainsRune(" \t\r\n,]}", rune(c.b[c.i])) {
		c.i++
	}
	return string(c.b[start:c.i])
}

// string takes a string.
func (c *cursor) string() string {
	c.peek()
	start := c.i
	c.i = endOfString(c.b, start)
	quoted := c.b[start:c.i]
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is a string
	return s
}

// what describes the next value.
func (c *cursor) what() string {
	switch c.peek() {
	case '"':
		return "text"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func (c *cursor) mismatch(t Type) error {
	what := c.what() // moves to it
	return fmt.Errorf("at byte %d: %s is no %s", c.i+1, what, t)
}

var errDepth = fmt.Errorf("values are nested deeper than %d", MaxDepth)

// value writes the next value as one of type t.
func (w *Writer) value(c *cursor, t Type, depth int) error {
	if depth > MaxDepth {
		return errDepth
	}
	row, known := kinds[t.name]
	if !known {
		row.kind = class
	}
	next := c.peek()
	switch {
	case next == 'n':
		if row.primitive && t.dims == 0 {
			return c.mismatch(t)
		}
		c.scalar()
		w.Null()
		return nil
	case t.dims == 1 && t.name == "byte" && next == '"':
		return w.bytes(c, t)
	case t.dims > 0:
		return w.list(c, t, depth)
	}
	switch row.kind {
	case boolean:
		if next != 't' && next != 'f' {
			return c.mismatch(t)
		}
		w.put(c.scalar() == "true")
		return nil
	case whole:
		return w.whole(c, t, row.bits)
	case fraction:
		return w.fraction(c, t)
	case character, textual:
		if next != '"' {
			return c.mismatch(t)
		}
		at, s := c.i+1, c.string()
		if row.kind == character && len(utf16.Encode([]rune(s))) != 1 {
			return fmt.Errorf("at byte %d: text of another length than 1 is no %s", at, t)
		}
		w.put(s)
		return nil
	case dated:
		return w.date(c, t)
	case bigDecimal:
		return w.decimal(c, t)
	case listed:
		if next != '[' {
			return c.mismatch(t)
		}
		return w.list(c, Type{}, depth)
	case mapped:
		if next != '{' {
			return c.mismatch(t)
		}
	case class:
		switch next {
		case '{':
		case '"':
			w.constant(t.name, c.string())
			return nil
		default:
			return c.mismatch(t)
		}
	case anything:
	}
	return w.natural(c, t, row.kind == class, depth)
}

// natural writes the next value as what it looks like; an object as one of the
// class t if it is one.
func (w *Writer) natural(c *cursor, t Type, isClass bool, depth int) error {
	switch c.peek() {
	case '"':
		w.put(c.string())
	case '[':
		return w.list(c, Type{}, depth)
	case '{':
		if isClass {
			w.Raw('M')
			w.put(t.name)
		} else {
			w.Raw('H')
		}
		c.i++
		for c.peek() != '}' {
			w.put(c.string())
			if err := w.value(c, Type{}, depth+1); err != nil {
				return err
			}
		}
		c.i++
		w.Raw('Z')
	case 't', 'f':
		w.put(c.scalar() == "true")
	default:
		at, s := c.i+1, c.scalar()
		if n, ok := wholeNumber(s); ok {
			if int64(int32(n)) == n {
				w.put(int32(n))
			} else {
				w.put(n)
			}
			return nil
		}
		f, ok := doubleOf(s)
		if !ok {
			return fmt.Errorf("at byte %d: %.40s is too large a number", at, s)
		}
		w.double(f)
	}
	return nil
}

// list writes a list; t is its type if it is an array, else the zero value.
func (w *Writer) list(c *cursor, t Type, depth int) error {
	if c.peek() != '[' {
		return c.mismatch(t)
	}
	n := c.lengths[0]
	c.lengths = c.lengths[1:]
	var element Type
	if t.dims > 0 {
		element = t.element()
		w.Raw('V')
		w.put(t.listName())
	} else {
		w.Raw('X')
	}
	w.put(int32(n))
	c.i++
	for c.peek() != ']' {
		if err := w.value(c, element, depth+1); err != nil {
			return err
		}
	}
	c.i++
	return nil
}

// wholeNumber reads a number that a long can say.
func wholeNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && s != "-0"
}

// doubleOf reads a number that a double can say: a whole one must not become
// another by that.
func doubleOf(s string) (float64, bool) { return floating(s, 64) }

// floating is doubleOf for numbers of so many bits.
func floating(s string, bits int) (float64, bool) {
	f, err := strconv.ParseFloat(s, bits)
	if err != nil || !strings.ContainsAny(s, ".eE") && s != "-0" && strconv.FormatFloat(f, 'f', 0, 64) != s {
		return 0, false
	}
	return f, true
}

// double writes a double.
func (w *Writer) double(f float64) {
	if f == 0 && math.Signbit(f) { // the library forgets the sign
		w.Raw('D', 0x80, 0, 0, 0, 0, 0, 0, 0)
		return
	}
	w.put(f)
}

func (w *Writer) whole(c *cursor, t Type, bits int) error {
	if what := c.what(); what != "a number" {
		return c.mismatch(t)
	}
	at, s := c.i+1, c.scalar()
	n, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return fmt.Errorf("at byte %d: %.40s is no %s", at, s, t)
	}
	if bits == 64 {
		w.put(n)
	} else {
		w.put(int32(n))
	}
	return nil
}

func (w *Writer) fraction(c *cursor, t Type) error {
	if what := c.what(); what != "a number" {
		return c.mismatch(t)
	}
	at, s := c.i+1, c.scalar()
	bits := 64
	if t.name == "float" || t.name == "java.lang.Float" {
		bits = 32
	}
	if _, ok := floating(s, bits); !ok {
		return fmt.Errorf("at byte %d: %.40s is no %s", at, s, t)
	}
	f, _ := floating(s, 64) // the nearest float is made of it by whoever reads it
	w.double(f)
	return nil
}

// bytes writes text in base64 as what it stands for.
func (w *Writer) bytes(c *cursor, t Type) error {
	at := c.i + 1
	b, err := base64.StdEncoding.DecodeString(c.string())
	if err != nil {
		return fmt.Errorf("at byte %d: the text is no %s in base64", at, t)
	}
	w.put(b)
	return nil
}

// date writes a time: text in RFC 3339, or milliseconds since 1970.
func (w *Writer) date(c *cursor, t Type) error {
	var at time.Time
	switch what := c.what(); what {
	case "text":
		pos, s := c.i+1, c.string()
		var err error
		if at, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return fmt.Errorf("at byte %d: the text is no %s: write it as 2006-01-02T15:04:05Z, or as milliseconds since 1970", pos, t)
		}
	case "a number":
		pos, s := c.i+1, c.scalar()
		ms, ok := wholeNumber(s)
		if !ok {
			return fmt.Errorf("at byte %d: %.40s is no %s", pos, s, t)
		}
		at = time.UnixMilli(ms)
	default:
		return c.mismatch(t)
	}
	ms := at.UnixMilli()
	w.Raw('J', byte(ms>>56), byte(ms>>48), byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms))
	return nil
}

// decimal writes a number, or text that is one, with all its digits.
func (w *Writer) decimal(c *cursor, t Type) error {
	switch what := c.what(); what {
	case "a number":
		w.instance(t.name, "value", c.scalar())
	case "text":
		at, s := c.i+1, c.string()
		if !isNumber(s) {
			return fmt.Errorf("at byte %d: the text is no %s", at, t)
		}
		w.instance(t.name, "value", s)
	default:
		return c.mismatch(t)
	}
	return nil
}

// isNumber reports whether s is a number in JSON.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}

// constant writes a constant of an enum.
func (w *Writer) constant(enum, name string) { w.instance(enum, "name", name) }

// instance writes an object with one field, which is text.
func (w *Writer) instance(class, field, value string) {
	key := class + " " + field
	n, known := w.classes[key]
	if !known {
		n = len(w.classes)
		if w.classes == nil {
			w.classes = make(map[string]int)
		}
		w.classes[key] = n
		w.Raw('C')
		w.put(class)
		w.put(int32(1))
		w.put(field)
	}
	w.Raw('O')
	w.put(int32(n))
	w.put(value)
}
