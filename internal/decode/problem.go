package decode

import (
	"errors"
	"strings"
)

// Problem is one thing wrong at one place of a configuration.
type Problem struct {
	// Path leads to the place: `servers[0].listeners[1].address`.
	Path string
	// Message says what is wrong there, with the value unless it is a secret.
	Message string
	// Remedy says the way out: the known names, the accepted form; may be "".
	Remedy string
	// Line is the line in the file, counted from 1; 0 when not known.
	Line int
	// File is the file's name; "" when not known.
	File string
}

// String returns "file:line: path: message (remedy)", without the unknown parts.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		b.WriteByte(':')
		if p.Line > 0 {
			b.WriteString(itoa(p.Line))
			b.WriteByte(':')
		}
		b.WriteByte(' ')
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString(" (")
		b.WriteString(p.Remedy)
		b.WriteByte(')')
	}
	return b.String()
}

// Problems is a list of problems. It is an error when it is not empty.
type Problems []Problem

// Error returns the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, nil when there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// AsProblems returns the problems that err holds; an error of another kind
// becomes one problem at path.
func AsProblems(err error, path string) Problems {
	if err == nil {
		return nil
	}
	if ps, ok := errors.AsType[Problems](err); ok {
		return ps
	}
	return Problems{{Path: path, Message: err.Error()}}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}
