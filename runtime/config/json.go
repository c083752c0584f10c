package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// parseJSON reads a JSON text strictly: one value, no key twice, numbers kept exact.
func parseJSON(file, text string) (any, *mark, error) {
	// A first pass by the standard library finds what is no JSON, with its place.
	var all json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, nil, jsonError(file, text, err)
	}
	r := &jsonReader{file: file, text: text, decoder: json.NewDecoder(bytes.NewReader(all)), line: 1}
	r.decoder.UseNumber()
	// all begins at the first byte that is not blank.
	r.base = len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	value, m, err := r.value(0)
	if err != nil {
		return nil, nil, err
	}
	if len(r.problems) > 0 {
		return nil, nil, r.problems
	}
	return value, m, nil
}

func jsonError(file, text string, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return inFile(file, 0, "not valid JSON: "+err.Error(), "")
	}
	if int(syntax.Offset) >= len(strings.TrimRight(text, " \t\r\n")) && strings.Contains(syntax.Error(), "unexpected end") {
		line, column := position(text, len(strings.TrimRight(text, " \t\r\n")))
		return inFile(file, line, fmt.Sprintf("column %d: the file ends in the middle of a value", column), "is it only half written?")
	}
	line, column := position(text, int(syntax.Offset)-1)
	return inFile(file, line, fmt.Sprintf("column %d: not valid JSON: %s", column, syntax.Error()), "")
}

// jsonReader walks through valid JSON and notes lines and keys that come twice.
type jsonReader struct {
	file, text string
	base       int // where in text the decoder's input begins
	decoder    *json.Decoder
	line, at   int // the line of text[at]
	nodes      int
	problems   decode.Problems
}

// next returns the next token and the line it ends on.
func (r *jsonReader) next() (json.Token, int, error) {
	token, err := r.decoder.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		err = inFile(r.file, r.line, "not valid JSON: "+err.Error(), "")
	}
	end := min(r.base+int(r.decoder.InputOffset()), len(r.text))
	if end > r.at {
		r.line += strings.Count(r.text[r.at:end], "\n")
		r.at = end
	}
	return token, r.line, err
}

func (r *jsonReader) value(depth int) (any, *mark, error) {
	token, line, err := r.next()
	if err != nil {
		return nil, nil, err
	}
	if r.nodes++; r.nodes > maxNodes {
		return nil, nil, inFile(r.file, line, fmt.Sprintf("more than %d values", maxNodes), "is it the right file?")
	}
	m := &mark{line: line}
	switch token := token.(type) {
	case json.Delim:
		if depth >= maxNesting {
			return nil, nil, inFile(r.file, line, fmt.Sprintf("more than %d sections and lists inside each other", maxNesting), "")
		}
		if token == '{' {
			return r.section(m, depth)
		}
		return r.list(m, depth)
	case json.Number:
		n, ok := number(token.String())
		if !ok {
			return nil, nil, inFile(r.file, line, "the number is too large", "")
		}
		return n, m, nil
	default:
		return token, m, nil
	}
}

func (r *jsonReader) section(m *mark, depth int) (any, *mark, error) {
	out := map[string]any{}
	m.keys = map[string]*mark{}
	for r.decoder.More() {
		token, line, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		key, _ := token.(string)
		if len(key) > maxKeyLen {
			return nil, nil, inFile(r.file, line, fmt.Sprintf("a key of more than %d bytes", maxKeyLen), "")
		}
		first, twice := m.keys[key]
		if twice {
			r.problems = append(r.problems, duplicate(r.file, key, first.line, line))
		}
		value, inner, err := r.value(depth + 1)
		if err != nil {
			return nil, nil, err
		}
		if twice {
			continue
		}
		inner.line = line // the key's, where a reader looks for it
		out[key], m.keys[key] = value, inner
	}
	_, _, err := r.next()
	return out, m, err
}

func (r *jsonReader) list(m *mark, depth int) (any, *mark, error) {
	out := []any{}
	for r.decoder.More() {
		value, inner, err := r.value(depth + 1)
		if err != nil {
			return nil, nil, err
		}
		out, m.items = append(out, value), append(m.items, inner)
	}
	_, _, err := r.next()
	return out, m, err
}

// duplicate is the problem of a key that comes twice in one section.
func duplicate(file, key string, first, line int) decode.Problem {
	return decode.Problem{
		File: file, Line: line,
		Message: fmt.Sprintf("the key %q is in this section twice", key),
		Remedy:  fmt.Sprintf("it is on line %d too; keep one", first),
	}
}
