package telemetry

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// flushEvery is how long a line may stay in memory before it is written.
const flushEvery = 200 * time.Millisecond

// logBuffer is the most bytes that stay in memory.
const logBuffer = 32 << 10

// AccessLog is a Sink that writes a line of key=value pairs per request.
// Values that come from outside are quoted when they hold anything unusual.
type AccessLog struct {
	mu     sync.Mutex
	w      io.Writer
	file   *os.File // to be closed; nil for standard streams
	buf    []byte
	timer  *time.Timer
	armed  bool
	closed bool
	err    error
	failed func(error)
}

// OpenAccessLog opens an access log at path, which is a file to append to, or
// "stdout" or "stderr" ("/dev/stdout" and "/dev/stderr" mean the same). failed
// is called when lines could not be written, once until writing works again;
// requests go on meanwhile.
func OpenAccessLog(path string, failed func(error)) (*AccessLog, error) {
	a := &AccessLog{failed: failed}
	switch path {
	case "stdout", "/dev/stdout":
		a.w = os.Stdout
	case "stderr", "/dev/stderr":
		a.w = os.Stderr
	default:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
		a.w, a.file = f, f
	}
	return a, nil
}

// Record implements Sink.
func (a *AccessLog) Record(r *Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if a.buf == nil {
		a.buf = make([]byte, 0, logBuffer)
	}
	a.buf = appendRecord(a.buf, r)
	if len(a.buf) >= logBuffer-4<<10 {
		a.flush()
		return
	}
	if !a.armed {
		a.armed = true
		if a.timer == nil {
			a.timer = time.AfterFunc(flushEvery, a.timedFlush)
		} else {
			a.timer.Reset(flushEvery)
		}
	}
}

func (a *AccessLog) timedFlush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.armed = false
	a.flush()
}

// flush writes what is in memory. mu is held.
func (a *AccessLog) flush() {
	if len(a.buf) == 0 {
		return
	}
	_, err := a.w.Write(a.buf)
	a.buf = a.buf[:0]
	if err != nil && a.err == nil && a.failed != nil {
		a.failed(fmt.Errorf("access log: lines were lost: %w", err))
	}
	a.err = err
}

// Close writes what is in memory and closes the file. It is safe twice.
func (a *AccessLog) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
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
	b = appendPair(b, "method", r.Method)
	b = appendPair(b, "authority", r.Authority)
	b = appendPair(b, "path", r.Path)
	b = append(b, " status="...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
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
