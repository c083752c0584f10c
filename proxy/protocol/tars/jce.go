package tars

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Types of JCE fields.
const (
	typeInt8        = 0
	typeInt16       = 1
	typeInt32       = 2
	typeInt64       = 3
	typeFloat       = 4
	typeDouble      = 5
	typeString1     = 6
	typeString4     = 7
	typeMap         = 8
	typeList        = 9
	typeStructBegin = 10
	typeStructEnd   = 11
	typeZero        = 12
	typeBytes       = 13
)

// maxDepth is how deep fields that are skipped may be nested.
const maxDepth = 16

var (
	errShort = errors.New("a field is longer than the frame")
	errType  = errors.New("a field has another type than it should")
	errOrder = errors.New("fields are not in the order of their tags")
	errDepth = errors.New("fields are nested too deeply")
	errCount = errors.New("a number of items is negative")
)

// reader reads JCE fields from b.
type reader struct {
	b  []byte
	at int
}

// more reports whether there is another field.
func (r *reader) more() bool { return r.at < len(r.b) }

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, errShort
	}
	r.at += n
	return r.b[r.at-n : r.at], nil
}

// head reads a field's tag and type.
func (r *reader) head() (tag int, typ byte, err error) {
	if r.at >= len(r.b) {
		return 0, 0, errShort
	}
	c := r.b[r.at]
	r.at++
	if c < 0xf0 {
		return int(c >> 4), c & 0x0f, nil
	}
	if r.at >= len(r.b) {
		return 0, 0, errShort
	}
	r.at++
	return int(r.b[r.at-1]), c & 0x0f, nil
}

// int reads the value of an integer of at most 32 bits.
func (r *reader) int(typ byte) (int32, error) {
	if typ == typeZero {
		return 0, nil
	}
	if typ > typeInt32 {
		return 0, errType
	}
	b, err := r.take(1 << typ)
	if err != nil {
		return 0, err
	}
	switch typ {
	case typeInt8:
		return int32(int8(b[0])), nil
	case typeInt16:
		return int32(int16(binary.BigEndian.Uint16(b))), nil
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

// string reads the value of a string.
func (r *reader) string(typ byte) ([]byte, error) {
	switch typ {
	case typeString1:
		b, err := r.take(1)
		if err != nil {
			return nil, err
		}
		return r.take(int(b[0]))
	case typeString4:
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		n := binary.BigEndian.Uint32(b)
		if n > math.MaxInt32 {
			return nil, errShort
		}
		return r.take(int(n))
	}
	return nil, errType
}

// count reads how many items a map or a list has.
func (r *reader) count() (int, error) {
	tag, typ, err := r.head()
	if err != nil {
		return 0, err
	}
	if tag != 0 {
		return 0, errOrder
	}
	n, err := r.int(typ)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, errCount
	}
	return int(n), nil
}

// bytes reads the value of a list of bytes.
func (r *reader) bytes(typ byte) ([]byte, error) {
	if typ != typeBytes {
		return nil, errType
	}
	switch tag, typ, err := r.head(); {
	case err != nil:
		return nil, err
	case tag != 0 || typ != typeInt8:
		return nil, errType
	}
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// pair reads an entry of a map of strings.
func (r *reader) pair() (key, value []byte, err error) {
	if key, err = r.item(0); err != nil {
		return nil, nil, err
	}
	value, err = r.item(1)
	return key, value, err
}

// item reads a string with its head.
func (r *reader) item(want int) ([]byte, error) {
	tag, typ, err := r.head()
	if err != nil {
		return nil, err
	}
	if tag != want {
		return nil, errOrder
	}
	return r.string(typ)
}

// skip passes over a value. Every item of it has a byte at least, so this takes
// as long as the frame is, whatever number of items it claims.
func (r *reader) skip(typ byte, depth int) (err error) {
	if depth > maxDepth {
		return errDepth
	}
	switch typ {
	case typeInt8, typeInt16, typeInt32, typeInt64:
		_, err = r.take(1 << typ)
	case typeFloat:
		_, err = r.take(4)
	case typeDouble:
		_, err = r.take(8)
	case typeString1, typeString4:
		_, err = r.string(typ)
	case typeBytes:
		_, err = r.bytes(typ)
	case typeZero:
	case typeMap, typeList:
		n, err := r.count()
		if typ == typeMap {
			n *= 2
		}
		for ; err == nil && n > 0; n-- {
			_, err = r.skipField(depth)
		}
		return err
	case typeStructBegin:
		for end := false; err == nil && !end; {
			end, err = r.skipField(depth)
		}
	default:
		return errType
	}
	return err
}

// skipField passes over a field of a nested value; end tells that it was the
// end of a struct instead.
func (r *reader) skipField(depth int) (end bool, err error) {
	_, typ, err := r.head()
	if err != nil || typ == typeStructEnd {
		return true, err
	}
	return false, r.skip(typ, depth+1)
}

// appendInt appends an integer field in as few bytes as it needs. The tag is
// below 15, as all tags that are written are.
func appendInt(dst []byte, tag byte, v int32) []byte {
	switch {
	case v == 0:
		return append(dst, tag<<4|typeZero)
	case v == int32(int8(v)):
		return append(dst, tag<<4|typeInt8, byte(v))
	case v == int32(int16(v)):
		return append(dst, tag<<4|typeInt16, byte(v>>8), byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, tag<<4|typeInt32), uint32(v))
}

// appendString appends a string field.
func appendString(dst []byte, tag byte, s string) []byte {
	if len(s) <= math.MaxUint8 {
		dst = append(dst, tag<<4|typeString1, byte(len(s)))
	} else {
		dst = binary.BigEndian.AppendUint32(append(dst, tag<<4|typeString4), uint32(len(s)))
	}
	return append(dst, s...)
}

// appendBytes appends a field that is a list of bytes.
func appendBytes(dst []byte, tag byte, b []byte) []byte {
	dst = append(dst, tag<<4|typeBytes, typeInt8)
	dst = appendInt(dst, 0, int32(len(b)))
	return append(dst, b...)
}

// appendPair appends an entry of a map of strings.
func appendPair(dst []byte, f stream.Field) []byte {
	return appendString(appendString(dst, 0, f.Name), 1, f.Value)
}
