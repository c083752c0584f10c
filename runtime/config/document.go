package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Limits of a file.
const (
	// MaxFileBytes is the size of the largest file that Load reads.
	MaxFileBytes = 16 << 20

	maxNesting = 64      // sections and lists inside each other
	maxKeyLen  = 512     // bytes of a key
	maxNodes   = 1 << 18 // values in a file, after YAML aliases are filled in
)

// document is a parsed file: its values, and where each of them stands.
type document struct {
	file  string
	root  any // map[string]any, []any, string, bool, int64, uint64, float64, nil
	marks *mark
}

// mark is the place of one value in a file, and of the values inside it.
type mark struct {
	line int
	// file is set on the root of a file that was included.
	file  string
	keys  map[string]*mark
	items []*mark
}

// read returns the content of a file, or why it cannot be a configuration.
func read(file string) ([]byte, error) {
	if _, err := format(file); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	if info.IsDir() {
		return nil, inFile(file, 0, "is a directory", "name one file in it")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer func() { _ = f.Close() }()
	return readAll(file, f)
}

func unreadable(file string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir, _ := os.Getwd()
		return inFile(file, 0, "no such file", "looked from "+dir)
	case errors.Is(err, fs.ErrPermission):
		return inFile(file, 0, "permission denied", "let the user that runs ottavo read it")
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return inFile(file, 0, "cannot be read: "+errno.Error(), "")
	}
	return inFile(file, 0, "cannot be read: "+err.Error(), "")
}

// inFile is an error that concerns a file as a whole, or a line of it.
func inFile(file string, line int, message, remedy string) error {
	return decode.Problems{{File: file, Line: line, Message: message, Remedy: remedy}}
}

// format returns "json" or "yaml", by the file's suffix.
func format(file string) (string, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		return "json", nil
	case ".yaml", ".yml":
		return "yaml", nil
	}
	return "", inFile(file, 0, fmt.Sprintf("the suffix %q does not say which format this is", filepath.Ext(file)), "name the file .json, .yaml or .yml")
}

// parse turns a file's content into a document.
func parse(file string, data []byte) (*document, error) {
	kind, err := format(file)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFileBytes {
		return nil, tooLarge(file)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(text) {
		line, column := position(text, len(text)-len(afterValid(text)))
		return nil, inFile(file, line, fmt.Sprintf("column %d: not UTF-8 text", column), "save the file as UTF-8")
	}
	if strings.TrimSpace(text) == "" {
		return nil, inFile(file, 0, "the file is empty", "see docs/configuration.md for a short one")
	}
	doc := &document{file: file}
	if kind == "json" {
		doc.root, doc.marks, err = parseJSON(file, text)
	} else {
		doc.root, doc.marks, err = parseYAML(file, text)
	}
	if err != nil {
		return nil, err
	}
	if doc.root == nil {
		return nil, inFile(file, 0, "the file is empty", "see docs/configuration.md for a short one")
	}
	return doc, nil
}

func tooLarge(file string) error {
	return inFile(file, 0, fmt.Sprintf("is larger than %d MiB", MaxFileBytes>>20), "is it the right file?")
}

// afterValid returns what follows the valid UTF-8 at the start of s.
func afterValid(s string) string {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			break
		}
		s = s[n:]
	}
	return s
}

// position returns line and column, counted from 1, of a byte in a text.
func position(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// locate sets file and line of problems whose path leads into the document. A
// path that leads to nothing, because a key is missing, gets the line of the
// nearest section around it.
func (d *document) locate(problems decode.Problems) decode.Problems {
	for i := range problems {
		file, line := d.marks.find(problems[i].Path)
		if problems[i].Line == 0 && problems[i].File == "" {
			problems[i].Line = line
		}
		if problems[i].File == "" {
			problems[i].File = cmp.Or(file, d.file)
		}
	}
	return problems
}

// find follows a path, as decode.Join and decode.At write it, as far as it
// leads, and returns the line that this is, and the file if it was included.
func (m *mark) find(path string) (file string, line int) {
	for m != nil {
		line, file = m.line, cmp.Or(m.file, file)
		if path == "" {
			return file, line
		}
		var next *mark
		switch {
		case strings.HasPrefix(path, `["`):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return file, line
			}
			key, _ := strconv.Unquote(quoted)
			next, path = m.keys[key], strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			number, rest, _ := strings.Cut(path[1:], "]")
			i, err := strconv.Atoi(number)
			if err != nil || i < 0 || i >= len(m.items) {
				return file, line
			}
			next, path = m.items[i], rest
		default:
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			next, path = m.keys[path[:end]], path[end:]
		}
		m = next
	}
	return file, line
}

// number is the value that a number in a file stands for: int64, uint64 or
// float64, the first that holds it. ok is false if it is too large for all.
func number(text string) (value any, ok bool) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}
