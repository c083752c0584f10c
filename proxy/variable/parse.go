package variable

import (
	"iter"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// QueryArg returns the value of the first argument called name in a query
// ("a=1&b=2", without "?"), decoded. An argument without "=" has the value "".
// Names are compared decoded, and exactly. It allocates only for a value that
// holds an escape.
func QueryArg(query, name string) (value string, ok bool) {
	for key, value := range rawArgs(query) {
		if escaped(key, true) {
			key = Unescape(key, true)
		}
		if key == name {
			return Unescape(value, true), true
		}
	}
	return "", false
}

// QueryArgs iterates over the arguments of a query, decoded, in their order.
func QueryArgs(query string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for key, value := range rawArgs(query) {
			if !yield(Unescape(key, true), Unescape(value, true)) {
				return
			}
		}
	}
}

// rawArgs iterates over the arguments of a query as they stand there. Empty
// ones ("a=1&&b=2") are none.
func rawArgs(query string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for query != "" {
			var item string
			item, query, _ = strings.Cut(query, "&")
			if item == "" {
				continue
			}
			if key, value, _ := strings.Cut(item, "="); !yield(key, value) {
				return
			}
		}
	}
}

// Cookie returns the value of the first cookie called name that the caller
// sent, as it is but without the double quotes around it. Names are compared
// exactly.
func Cookie(h *stream.Header, name string) (value string, ok bool) {
	for line := range h.Values("cookie") {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ";")
			key, value, has := strings.Cut(item, "=")
			if !has || trim(key) != name {
				continue
			}
			value = trim(value)
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return value, true
		}
	}
	return "", false
}

func trim(s string) string { return strings.Trim(s, " \t") }

// Unescape decodes percent escapes, and "+" as a space if plus is true. What is
// not a valid escape stays as it is. It allocates only if there is something
// to decode.
func Unescape(s string, plus bool) string {
	if !escaped(s, plus) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+' && plus:
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, hexValue(s[i+1])<<4|hexValue(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func escaped(s string, plus bool) bool {
	return strings.IndexByte(s, '%') >= 0 || plus && strings.IndexByte(s, '+') >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexValue returns the value of a hexadecimal digit.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// Printable returns s with each control character but tab escaped ("%0A" is a
// line feed), so that it cannot end a header field or a line. It allocates only
// if there is one.
func Printable(s string) string {
	for i := range len(s) {
		if control(s[i]) {
			return escape(s, control)
		}
	}
	return s
}

func control(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// EscapeURL returns s, a path or query, with everything escaped that may not
// stand in one as it is: control characters, spaces, what is not ASCII, "#" and
// the like. Escapes that are there stay. It allocates only if there is something
// to escape.
func EscapeURL(s string) string {
	return escape(s, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte(`"#<>\^`+"`{|}", c) >= 0
	})
}

// escape replaces the bytes that need it by percent escapes.
func escape(s string, needs func(byte) bool) string {
	n := 0
	for i := range len(s) {
		if needs(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; needs(c) {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
