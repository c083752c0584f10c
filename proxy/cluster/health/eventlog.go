package health

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// mostEvents is the most bytes of lines that wait for a slow disk; further
// lines are lost, so that nobody waits for it.
const mostEvents = 1 << 20

// Event is that a host goes out of use, or comes back.
type Event struct {
	Cluster string
	Host    *upstream.Host
	// Reason is the one trouble that begins (Out) or ends. The host may have others.
	Reason upstream.Trouble
	Out    bool
	// Cause says what happened.
	Cause string
}

// EventLog appends a line of key=value pairs for each Event to a file.
//
// The file is opened when there is something to write, and closed again: it may
// be moved away at any time, and several logs, also of several processes, may
// have the same one, because each write is of whole lines, at the end. A file
// that cannot be written to is reported once, until it can be again, and stops
// nothing; the lines are lost.
//
// Its methods are safe for concurrent use. A nil *EventLog drops everything.
type EventLog struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	buf  []byte
	lost int
	// written is closed when the goroutine that writes has nothing more to
	// write; nil while there is none.
	written chan struct{}
	failing bool // the last write failed; only who writes uses it
}

// NewEventLog returns the log at path, which is a file, or "stdout" or "stderr"
// ("/dev/stdout" and "/dev/stderr" mean the same). It is nil if path is "".
func NewEventLog(path string, log *slog.Logger) *EventLog {
	if path == "" {
		return nil
	}
	return &EventLog{path: path, log: log}
}

// Record adds a line. It does not wait for the file.
func (l *EventLog) Record(e Event) {
	if l == nil {
		return
	}
	from, to := "healthy", e.Reason.String()
	if !e.Out {
		from, to = to, from
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) > mostEvents {
		l.lost++
		return
	}
	l.buf = fmt.Appendf(l.buf, "time=%s cluster=%q host=%q hostname=%q from=%q to=%q reason=%q\n",
		time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), e.Cluster, e.Host.Address, e.Host.Hostname, from, to, e.Cause)
	if l.written == nil {
		l.written = make(chan struct{})
		go l.write()
	}
}

// Flush waits until everything recorded so far is written, or ctx ends.
func (l *EventLog) Flush(ctx context.Context) {
	if l == nil {
		return
	}
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	if written == nil {
		return
	}
	select {
	case <-written:
	case <-ctx.Done():
	}
}

// write writes until nothing is left.
func (l *EventLog) write() {
	for {
		l.mu.Lock()
		lines, lost := l.buf, l.lost
		l.buf, l.lost = nil, 0
		if len(lines) == 0 {
			close(l.written)
			l.written = nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		err := l.append(lines)
		if err == nil && lost > 0 {
			err = fmt.Errorf("the disk is too slow, %d lines found no room in memory", lost)
		}
		if err != nil && !l.failing && l.log != nil {
			l.log.Error("event log: lines are lost", "path", l.path, "error", err)
		}
		l.failing = err != nil
	}
}

// append writes lines to the end of the file that is at the path now.
func (l *EventLog) append(lines []byte) error {
	var w io.Writer
	switch l.path {
	case "stdout", "/dev/stdout":
		w = os.Stdout
	case "stderr", "/dev/stderr":
		w = os.Stderr
	default:
		f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		_, err = f.Write(lines)
		if e := f.Close(); err == nil {
			err = e
		}
		return err
	}
	_, err := w.Write(lines)
	return err
}
