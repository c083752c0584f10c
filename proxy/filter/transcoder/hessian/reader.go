package hessian

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	hessian2 "github.com/apache/dubbo-go-hessian2"
)

var (
	errEnd  = errors.New("no Hessian 2: it ends too early")
	errSelf = errors.New("the value contains itself, which JSON cannot say")
)

// Reader reads values in Hessian 2, one after the other. After an error it is of
// no use. It is not safe for concurrent use.
type Reader struct {
	// Loose makes a reference to a value that holds it a null, not an error:
	// Java's exceptions say in that way that they have no cause.
	Loose bool

	b     []byte
	dec   *hessian2.Decoder
	begun bool
	limit int // most bytes of JSON

	out     []byte // JSON of all values, so that references find what they lead to
	classes []definition
	types   []string // names, as later ones may refer to them
	refs    []span
	class   string // of the value that was read last
}

// definition is that of a class.
type definition struct {
	name   string
	fields []string
}

// span is where the JSON of a value is; end is 0 as long as it is being written.
type span struct{ start, end int }

// NewReader makes a Reader of b, which it does not change. Values that have more
// than limit bytes as JSON, all together, are an error.
func NewReader(b []byte, limit int) *Reader {
	// The decoder's buffer takes b as a whole, so that what it holds says where
	// the decoder is.
	return &Reader{b: b, dec: hessian2.NewDecoderSize(b, max(len(b), 16)), limit: limit}
}

// More reports whether a value follows.
func (r *Reader) More() bool { return r.at() < len(r.b) }

// at returns how many bytes were taken.
func (r *Reader) at() int {
	if !r.begun {
		return 0
	}
	return len(r.b) - r.dec.Buffered()
}

// peek returns the next byte.
func (r *Reader) peek() (byte, error) {
	if at := r.at(); at < len(r.b) {
		return r.b[at], nil
	}
	return 0, errEnd
}

// step takes a byte.
func (r *Reader) step() {
	r.begun = true
	_, _ = r.dec.Discard(1)
}

// scalar reads a value that holds no others.
func (r *Reader) scalar() (v any, err error) {
	tag, err := r.peek()
	if err != nil {
		return nil, err
	}
	if holds(tag) {
		return nil, errors.New("no Hessian 2: a list, map or object in the place of a plain value")
	}
	// The library answers some bytes that are no value with a panic.
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("no Hessian 2: %v", p)
		}
	}()
	r.begun = true
	if v, err = r.dec.DecodeValue(); err != nil {
		return nil, fmt.Errorf("no Hessian 2: byte %d does not begin a value", r.at())
	}
	return v, nil
}

// holds reports whether a value that begins with tag holds others.
func holds(tag byte) bool {
	if tag >= 0x60 && tag <= 0x7f {
		return true
	}
	switch tag {
	case 'C', 'H', 'M', 'O', 'Q', 'U', 'V', 'W', 'X', 'Z':
		return true
	}
	return false
}

// String reads a string or a null; ok is false for a null.
func (r *Reader) String() (s string, ok bool, err error) {
	v, err := r.scalar()
	if err != nil {
		return "", false, err
	}
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	}
	return "", false, errors.New("another value in the place of a string")
}

// Int reads an int.
func (r *Reader) Int() (int, error) {
	v, err := r.scalar()
	if err != nil {
		return 0, err
	}
	if n, ok := v.(int32); ok {
		return int(n), nil
	}
	return 0, errors.New("another value in the place of an int")
}

// Value reads a value and returns it as JSON.
func (r *Reader) Value() ([]byte, error) {
	r.class = ""
	start := len(r.out)
	var err error
	r.out, err = r.value(r.out, 0)
	if err == nil && len(r.out) > r.limit { // what closes lists, maps and objects was not counted yet
		err = r.tooLarge()
	}
	return r.out[start:len(r.out):len(r.out)], err
}

// Class returns the class of the value that was read last if that was an object
// or a map with a type, else "".
func (r *Reader) Class() string { return r.class }

// Strings reads a map and calls each with every entry of two strings. A null is
// an empty map.
func (r *Reader) Strings(each func(key, value string)) error {
	tag, err := r.peek()
	if err != nil {
		return err
	}
	switch tag {
	case 'N':
		r.step()
		return nil
	case 'M':
		r.step()
		if _, err := r.kind(); err != nil {
			return err
		}
	case 'H':
		r.step()
	default:
		return errors.New("another value in the place of a map")
	}
	r.refs = append(r.refs, span{})
	for {
		if tag, err = r.peek(); err != nil {
			return err
		}
		if tag == 'Z' {
			r.step()
			return nil
		}
		key, isText, err := r.text()
		if err != nil {
			return err
		}
		value, both, err := r.text()
		if err != nil {
			return err
		}
		if isText && both {
			each(key, value)
		}
	}
}

// text reads a string, or steps over another value.
func (r *Reader) text() (s string, ok bool, err error) {
	tag, err := r.peek()
	if err != nil {
		return "", false, err
	}
	if holds(tag) {
		r.out, err = r.value(r.out, 1)
		return "", false, err
	}
	v, err := r.scalar()
	s, ok = v.(string)
	return s, ok, err
}

// value appends the next value.
func (r *Reader) value(dst []byte, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return dst, errDepth
	}
	if len(dst) > r.limit {
		return dst, r.tooLarge()
	}
	tag, err := r.peek()
	if err != nil {
		return dst, err
	}
	for tag == 'C' {
		r.step()
		if err := r.define(); err != nil {
			return dst, err
		}
		if tag, err = r.peek(); err != nil {
			return dst, err
		}
	}
	if !holds(tag) {
		v, err := r.scalar()
		if err != nil {
			return dst, err
		}
		dst = appendScalar(dst, v)
		if len(dst) > r.limit {
			return dst, r.tooLarge()
		}
		return dst, nil
	}
	r.step()
	switch {
	case tag == 'Q':
		return r.reference(dst)
	case tag == 'H':
		return r.entries(dst, depth)
	case tag == 'M':
		name, err := r.kind()
		if err != nil {
			return dst, err
		}
		if depth == 0 {
			r.class = name
		}
		return r.entries(dst, depth)
	case tag >= 0x60 && tag < 0x70:
		return r.object(dst, int(tag-0x60), depth)
	case tag == 'O':
		n, err := r.Int()
		if err != nil {
			return dst, err
		}
		return r.object(dst, n, depth)
	case tag == 'Z':
		return dst, errors.New("no Hessian 2: an end without a beginning")
	}
	return r.list(dst, tag, depth)
}

func (r *Reader) tooLarge() error {
	return fmt.Errorf("as JSON the value is larger than %d bytes", r.limit)
}

// kind reads the name of a type, or the number of one that was there before.
func (r *Reader) kind() (name string, err error) {
	v, err := r.scalar()
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		r.types = append(r.types, v)
		return v, nil
	case int32:
		if v >= 0 && int(v) < len(r.types) {
			return r.types[v], nil
		}
	}
	return "", errors.New("no Hessian 2: a type that is not known")
}

// define reads the definition of a class.
func (r *Reader) define() error {
	name, ok, err := r.String()
	if err != nil {
		return err
	}
	n, err := r.Int()
	if err != nil {
		return err
	}
	if !ok || n < 0 || n > len(r.b)-r.at() {
		return errors.New("no Hessian 2: malformed definition of a class")
	}
	d := definition{name: name, fields: make([]string, 0, n)}
	for range n {
		field, _, err := r.String()
		if err != nil {
			return err
		}
		d.fields = append(d.fields, field)
	}
	r.classes = append(r.classes, d)
	return nil
}

// open begins a value that may be referred to; close ends it.
func (r *Reader) open(dst []byte) (ref int) {
	r.refs = append(r.refs, span{start: len(dst)})
	return len(r.refs) - 1
}

func (r *Reader) close(ref int, dst []byte) { r.refs[ref].end = len(dst) }

// reference appends a value that was there before.
func (r *Reader) reference(dst []byte) ([]byte, error) {
	n, err := r.Int()
	switch {
	case err != nil:
		return dst, err
	case n < 0 || n >= len(r.refs):
		return dst, errors.New("no Hessian 2: a reference to nothing")
	}
	at := r.refs[n]
	switch {
	case at.end == 0 && r.Loose:
		return append(dst, "null"...), nil
	case at.end == 0:
		return dst, errSelf
	case len(dst)+at.end-at.start > r.limit:
		return dst, r.tooLarge()
	}
	return append(dst, dst[at.start:at.end]...), nil
}

// list appends a list, of which the tag was taken.
func (r *Reader) list(dst []byte, tag byte, depth int) ([]byte, error) {
	n := -1 // up to its end
	if tag == 'U' || tag == 'V' || tag >= 0x70 && tag < 0x78 {
		if _, err := r.kind(); err != nil {
			return dst, err
		}
	}
	switch {
	case tag == 'V' || tag == 'X':
		var err error
		if n, err = r.Int(); err != nil {
			return dst, err
		}
		if n < 0 {
			return dst, errors.New("no Hessian 2: a list with less than no elements")
		}
	case tag >= 0x70:
		n = int(tag & 7)
	}
	ref := r.open(dst)
	dst = append(dst, '[')
	for i := 0; i != n; i++ {
		if n < 0 {
			next, err := r.peek()
			if err != nil {
				return dst, err
			}
			if next == 'Z' {
				r.step()
				break
			}
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = r.value(dst, depth+1); err != nil {
			return dst, err
		}
	}
	dst = append(dst, ']')
	r.close(ref, dst)
	return dst, nil
}

// entries appends those of a map.
func (r *Reader) entries(dst []byte, depth int) ([]byte, error) {
	ref := r.open(dst)
	dst = append(dst, '{')
	for i := 0; ; i++ {
		next, err := r.peek()
		if err != nil {
			return dst, err
		}
		if next == 'Z' {
			r.step()
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = r.key(dst); err != nil {
			return dst, err
		}
		if dst, err = r.value(append(dst, ':'), depth+1); err != nil {
			return dst, err
		}
	}
	dst = append(dst, '}')
	r.close(ref, dst)
	return dst, nil
}

// key appends the key of a map's entry, which is text in JSON.
func (r *Reader) key(dst []byte) ([]byte, error) {
	tag, err := r.peek()
	if err != nil {
		return dst, err
	}
	if holds(tag) {
		return dst, errors.New("a map whose keys are lists, maps or objects, which JSON cannot say")
	}
	v, err := r.scalar()
	if err != nil {
		return dst, err
	}
	before := len(dst)
	if dst = appendScalar(dst, v); dst[before] != '"' {
		dst = append(dst, '"', '"')
		copy(dst[before+1:], dst[before:len(dst)-2])
		dst[before] = '"'
	}
	return dst, nil
}

// object appends an object of class n.
func (r *Reader) object(dst []byte, n, depth int) ([]byte, error) {
	if n < 0 || n >= len(r.classes) {
		return dst, errors.New("no Hessian 2: an object of a class that is not defined")
	}
	class := r.classes[n]
	if depth == 0 {
		r.class = class.name
	}
	ref := r.open(dst)
	start := len(dst)
	dst = append(dst, '{')
	for i, field := range class.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = r.value(append(appendText(dst, field), ':'), depth+1); err != nil {
			return dst, err
		}
	}
	dst = append(dst, '}')
	if class.name == decimal || class.name == integer {
		dst = number(dst, start, class)
	}
	r.close(ref, dst)
	return dst, nil
}

// number puts a number in the place of an object that only holds its text.
func number(dst []byte, start int, class definition) []byte {
	if len(class.fields) != 1 || class.fields[0] != "value" {
		return dst
	}
	digits, isText := bytes.CutPrefix(dst[start:], []byte(`{"value":"`))
	digits, _ = bytes.CutSuffix(digits, []byte(`"}`))
	if !isText || !isNumber(string(digits)) {
		return dst
	}
	return append(dst[:start], digits...)
}

// appendScalar appends what the library makes of a plain value.
func appendScalar(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int32:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendDouble(dst, v)
	case time.Time:
		return append(v.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case string:
		return appendText(dst, v)
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
	}
	return appendText(dst, fmt.Sprint(v))
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, '.', '0') // so that it stays a fraction on its way back
}

// Text appends s as text in JSON.
func Text(dst []byte, s string) []byte { return appendText(dst, s) }

const hex = "0123456789abcdef"

func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			i++
			start = i
			continue
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
