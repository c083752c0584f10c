package grpccall

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// A JSONError is a mistake in a request's JSON, with its place.
type JSONError struct {
	// Line and Column count from 1; Column counts bytes.
	Line, Column int
	// Message says what is wrong.
	Message string
}

// Error returns "line 1, column 5: what is wrong".
func (e *JSONError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// A document is one JSON value, and where it began.
type document struct {
	text         []byte
	line, column int
}

// at returns the place of a byte of the document.
func (d document) at(offset int) (line, column int) {
	line, column = d.line, d.column
	for _, b := range d.text[:min(offset, len(d.text))] {
		if b == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
	}
	return line, column
}

func (d document) errorf(offset int, format string, args ...any) *JSONError {
	line, column := d.at(offset)
	return &JSONError{line, column, fmt.Sprintf(format, args...)}
}

// documents reads JSON values one after the other, each as soon as it is
// complete.
type documents struct {
	in  *placeReader
	dec *json.Decoder
	max int64
}

// newDocuments reads from r documents of at most max bytes.
func newDocuments(r io.Reader, max int) *documents {
	in := &placeReader{in: r}
	return &documents{in: in, dec: json.NewDecoder(in), max: int64(max)}
}

// next returns the next document; io.EOF after the last.
func (d *documents) next() (document, error) {
	d.in.limit = d.dec.InputOffset() + d.max
	var raw json.RawMessage
	err := d.dec.Decode(&raw)
	end := d.dec.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		line, column := d.in.place(end - int64(len(raw)))
		return document{raw, line, column}, nil
	case errors.Is(err, io.EOF):
		return document{}, io.EOF
	case errors.As(err, &syntax):
		// The offset is behind the byte that is wrong.
		line, column := d.in.place(max(syntax.Offset-1, 0))
		return document{}, &JSONError{line, column, syntax.Error()}
	case errors.Is(err, io.ErrUnexpectedEOF):
		line, column := d.in.place(d.in.read)
		return document{}, &JSONError{line, column, "the JSON ends too early"}
	}
	return document{}, err
}

// placeReader remembers where lines begin.
type placeReader struct {
	in       io.Reader
	read     int64
	limit    int64   // of read
	newlines []int64 // offsets
}

func (r *placeReader) Read(p []byte) (int, error) {
	if r.read > r.limit {
		line, column := r.place(r.read)
		return 0, &JSONError{line, column, "the JSON is larger than a message may be (--max-message-size)"}
	}
	n, err := r.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			r.newlines = append(r.newlines, r.read+int64(i))
		}
	}
	r.read += int64(n)
	return n, err
}

// place returns line and column, from 1, of a byte.
func (r *placeReader) place(offset int64) (line, column int) {
	n := sort.Search(len(r.newlines), func(i int) bool { return r.newlines[i] >= offset })
	if n == 0 {
		return 1, int(offset) + 1
	}
	return n + 1, int(offset - r.newlines[n-1])
}
