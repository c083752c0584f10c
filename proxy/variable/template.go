package variable

import (
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Template is a text that may hold variables. It does not change and is safe
// for concurrent use.
type Template struct {
	parts []part
	names []string
}

// part is a literal text, or a variable if get is not nil.
type part struct {
	text string
	get  Getter
}

// ParseTemplate makes a Template of a text in which %name% stands for the
// variable of that name and %% for a percent sign. A name begins with a letter
// and holds letters, digits, ".", "_", "-" and ":". A percent sign that begins
// neither is one, so that "100%" and "/a%20b" mean themselves; but write %% if
// a text has two that a name might stand between. Any name is accepted:
// Known tells those that are not built in.
//
// The one error is a control character in the text, which could not stand in a
// header field.
func ParseTemplate(text string) (*Template, error) {
	if clean := Printable(text); clean != text {
		return nil, fmt.Errorf("%q holds a control character: write it without line breaks", text)
	}
	t := new(Template)
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			t.parts = append(t.parts, part{text: string(literal)})
			literal = literal[:0]
		}
	}
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			i = len(text)
		}
		literal = append(literal, text[:i]...)
		if text = text[i:]; text == "" {
			break
		}
		if strings.HasPrefix(text, "%%") {
			literal, text = append(literal, '%'), text[2:]
			continue
		}
		n := nameLength(text[1:])
		if n == 0 || 1+n == len(text) || text[1+n] != '%' {
			literal, text = append(literal, '%'), text[1:]
			continue
		}
		flush()
		name := text[1 : 1+n]
		t.parts = append(t.parts, part{get: Lookup(name)})
		t.names = append(t.names, name)
		text = text[n+2:]
	}
	flush()
	return t, nil
}

// nameLength returns how many bytes at the start of s can be a name.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '.' || c == '_' || c == '-' || c == ':')) {
			return i
		}
	}
	return len(s)
}

// Names returns the names of the variables in the text, in their order; none
// means that Value is the same for every request.
func (t *Template) Names() []string { return t.names }

// Value returns the text with the variables' values for a request. A variable
// without a value is the empty text; a header field whose whole value is empty
// for that reason is better left out. Control characters in values are escaped
// as Printable does it, so the result can stand in a header field.
//
// It allocates for a text with several parts only, and for the values
// themselves as far as they have to be made.
func (t *Template) Value(req *stream.Request) string {
	switch len(t.parts) {
	case 0:
		return ""
	case 1:
		return t.parts[0].value(req)
	}
	var room [256]byte
	b := room[:0]
	for _, p := range t.parts {
		b = append(b, p.value(req)...)
	}
	return string(b)
}

func (p part) value(req *stream.Request) string {
	if p.get == nil {
		return p.text
	}
	v, _ := p.get(req)
	return Printable(v)
}
