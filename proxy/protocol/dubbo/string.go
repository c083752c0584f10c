package dubbo

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxPiece is how many UTF-16 units of a string are in one piece of it.
const maxPiece = 0x8000

// appendString appends a string value in Hessian 2. A character of two units
// is written as Java does it, each unit by itself.
func appendString(dst []byte, v string) []byte {
	n := 0
	for rest := v; rest != ""; {
		size, units, _ := character(rest)
		rest = rest[size:]
		n += units
	}
	for n > maxPiece {
		at, k := len(dst), 0
		dst, v, k = appendUnits(append(dst, 'R', 0, 0), v, maxPiece)
		dst[at+1], dst[at+2] = byte(k>>8), byte(k)
		n -= k
	}
	switch {
	case n < 0x20:
		dst = append(dst, byte(n))
	case n < 0x400:
		dst = append(dst, 0x30|byte(n>>8), byte(n))
	default:
		dst = append(dst, 'S', byte(n>>8), byte(n))
	}
	dst, _, _ = appendUnits(dst, v, n)
	return dst
}

// appendUnits appends characters of v with no more than so many units, and
// returns the others and how many units were written.
func appendUnits(dst []byte, v string, most int) (b []byte, rest string, n int) {
	for v != "" {
		size, units, r := character(v)
		if n+units > most {
			break
		}
		switch {
		case r < 0:
			dst = append(dst, v[:size]...)
		case units == 2:
			high, low := utf16.EncodeRune(r)
			dst = appendUnit(appendUnit(dst, high), low)
		default:
			dst = utf8.AppendRune(dst, r)
		}
		v, n = v[size:], n+units
	}
	return dst, v, n
}

// appendUnit appends one half of a character.
func appendUnit(dst []byte, r rune) []byte {
	return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
}

// character returns the size of v's first character in bytes and in UTF-16
// units. r is negative where the bytes are half a character as Java writes it,
// which is no UTF-8 and stays as it is.
func character(v string) (size, units int, r rune) {
	r, size = utf8.DecodeRuneInString(v)
	switch {
	case r > 0xffff:
		return size, 2, r
	case r == utf8.RuneError && size == 1 && len(v) >= 3 && v[0] == 0xed && v[1] >= 0xa0 && v[1] < 0xc0 && v[2]&0xc0 == 0x80:
		return 3, 1, -1
	}
	return size, 1, r
}
