package telemetry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"
)

// flushEvery is how long a line may stay in memory before it is written.
const flushEvery = 200 * time.Millisecond

const (
	// flushAt is how many bytes are enough for a write.
	flushAt = 28 << 10
	// helpAt is how many bytes are so much, while nobody writes, that whoever
	// adds to them does.
	helpAt = 56 << 10
	// logBuffer is how much memory is taken at first, and keptBuffer the most
	// that is kept.
	logBuffer  = 64 << 10
	keptBuffer = 256 << 10
	// mostBuffered is the most bytes that wait for a slow disk; further lines
	// are lost, so that requests are not held up.
	mostBuffered = 8 << 20
	// lookEvery is the least time between two looks whether the file was
	// moved away.
	lookEvery = time.Second
)

// AccessLog is a Sink that writes a line of key=value pairs per request.
// Values that come from outside are quoted when they hold anything unusual.
//
// A file that is moved away or deleted (by logrotate, for example) is created
// anew within seconds; lines are written to one or the other, never to
// neither. A file that is cut short in place is appended to.
type AccessLog struct {
	path   string
	failed func(error)

	mu     sync.Mutex
	buf    []byte // lines to write
	timer  *time.Timer
	armed  bool // the timer is going to fire
	hurry  bool // it fires at once
	closed bool
	lost   int // lines that found no room

	// writing is held while lines are written; it comes before mu.
	writing sync.Mutex
	w       io.Writer
	file    *os.File // nil for standard streams
	spare   []byte
	torn    bool // the last line was written in part
	looked  time.Time
	err     error // why the last write failed
}

// OpenAccessLog opens an access log at path, which is a file to append to, or
// "stdout" or "stderr" ("/dev/stdout" and "/dev/stderr" mean the same). failed
// is called when lines could not be written, once until writing works again;
// requests go on meanwhile.
func OpenAccessLog(path string, failed func(error)) (*AccessLog, error) {
	a := &AccessLog{path: path, failed: failed, looked: time.Now()}
	switch path {
	case "stdout", "/dev/stdout":
		a.w = os.Stdout
	case "stderr", "/dev/stderr":
		a.w = os.Stderr
	default:
		f, err := openLog(path)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		a.w, a.file = f, f
	}
	return a, nil
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}

// Record implements Sink.
func (a *AccessLog) Record(r *Record) {
	a.mu.Lock()
	help := a.add(r)
	a.mu.Unlock()
	if help {
		a.flush()
		a.writing.Unlock()
	}
}

// add adds a line. It reports whether the caller is to flush, and has taken
// writing for that. mu is held.
func (a *AccessLog) add(r *Record) (help bool) {
	switch {
	case a.closed:
		return false
	case len(a.buf) >= mostBuffered:
		a.lost++
		return false
	case a.buf == nil:
		a.buf = make([]byte, 0, logBuffer)
	}
	a.buf = appendRecord(a.buf, r)
	if full := len(a.buf) >= flushAt; !a.armed || full && !a.hurry {
		a.armed, a.hurry = true, full
		a.wake()
	}
	return len(a.buf) >= helpAt && a.writing.TryLock()
}

// wake sets the timer. mu is held.
func (a *AccessLog) wake() {
	in := flushEvery
	if a.hurry {
		in = 0
	}
	if a.timer == nil {
		a.timer = time.AfterFunc(in, func() {
			a.writing.Lock()
			defer a.writing.Unlock()
			a.flush()
		})
	} else {
		a.timer.Reset(in)
	}
}

// flush writes what is in memory. writing is held, and mu is not.
func (a *AccessLog) flush() {
	a.mu.Lock()
	lines, lost := a.buf, a.lost
	a.buf, a.spare, a.lost = a.spare, nil, 0
	a.armed, a.hurry = false, false
	a.mu.Unlock()

	err := a.write(lines)
	if err == nil && lost > 0 {
		err = fmt.Errorf("the disk is too slow, %d lines found no room in memory", lost)
	}
	if err != nil && a.err == nil && a.failed != nil {
		a.failed(fmt.Errorf("access log: lines are lost: %w", err))
	}
	a.err = err
	if cap(lines) <= keptBuffer {
		a.spare = lines[:0]
	}
}

// write writes lines to the file that is at the path now. writing is held.
func (a *AccessLog) write(lines []byte) error {
	if len(lines) == 0 {
		return a.err
	}
	a.reopen()
	if a.torn {
		if _, err := a.w.Write([]byte{'\n'}); err != nil {
			return err
		}
		a.torn = false
	}
	n, err := a.w.Write(lines)
	a.torn = n > 0 && n < len(lines) && lines[n-1] != '\n'
	return err
}

// reopen opens the file anew if another, or none, is at its path.
func (a *AccessLog) reopen() {
	now := time.Now()
	if a.file == nil || now.Sub(a.looked) < lookEvery {
		return
	}
	a.looked = now
	if there, err := os.Stat(a.path); err == nil {
		if ours, err := a.file.Stat(); err != nil || os.SameFile(there, ours) {
			return
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	f, err := openLog(a.path)
	if err != nil {
		return // better into the old file than nowhere
	}
	_ = a.file.Close()
	a.w, a.file, a.torn = f, f, false
}

// Close writes what is in memory and closes the file. It is safe twice.
func (a *AccessLog) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.mu.Unlock()
	a.writing.Lock() // a flush that is under way ends first
	defer a.writing.Unlock()
	a.flush()
	if a.file != nil {
		return a.file.Close()
	}
	return nil
}

func appendRecord(b []byte, r *Record) []byte {
	b = append(b, "time="...)
	b = r.Start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = appendPair(b, "listener", r.Listener)
	b = appendPair(b, "downstream", r.Downstream)
	b = appendPair(b, "protocol", r.Protocol)
	if r.Service != "" {
		b = appendPair(b, "service", r.Service)
	}
	b = appendPair(b, "method", r.Method)
	b = appendPair(b, "authority", r.Authority)
	b = appendPair(b, "path", r.Path)
	b = append(b, " status="...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	if r.Code != "" {
		b = appendPair(b, "rpc_status", r.Code)
	}
	b = appendPair(b, "vhost", r.VirtualHost)
	b = appendPair(b, "route", r.Route)
	b = appendPair(b, "cluster", r.Cluster)
	b = appendPair(b, "host", r.Host)
	b = append(b, " attempts="...)
	b = strconv.AppendInt(b, int64(r.Attempts), 10)
	b = append(b, " bytes_in="...)
	b = strconv.AppendInt(b, r.BytesIn, 10)
	b = append(b, " bytes_out="...)
	b = strconv.AppendInt(b, r.BytesOut, 10)
	b = appendMillis(b, "connect_ms", r.Connected)
	b = appendMillis(b, "first_byte_ms", r.FirstByte)
	b = appendMillis(b, "duration_ms", r.Duration)
	if r.Err != nil {
		b = appendPair(b, "error", r.Err.Error())
	}
	return append(b, '\n')
}

// maxValue limits what one value takes of a line, in bytes.
const maxValue = 1 << 10

func appendPair(b []byte, key, value string) []byte {
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	if value == "" {
		return append(b, '-')
	}
	if len(value) > maxValue {
		value = value[:maxValue]
	}
	if value == "-" {
		return append(b, `"-"`...)
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return strconv.AppendQuote(b, value)
		}
	}
	return append(b, value...)
}

func appendMillis(b []byte, key string, d time.Duration) []byte {
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', 3, 64)
}
