// Package logtest has the log that tests read while the program under test
// writes it. It is for tests only.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Log keeps what is written to it, which is whole lines. The zero value is ready
// to use, and empty; its methods are safe for concurrent use.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns what was logged so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Contains reports whether a line that holds all the texts was logged.
func (l *Log) Contains(texts ...string) bool {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}
