package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

const (
	// bufferSize is the size of a chunk that is read at once.
	bufferSize = 32 << 10
	// waitSize is the size of the buffer that a connection that is no socket
	// waits with, and any for the first bytes of the client.
	waitSize = 256
	// holdBuffer is how long a connection that is no socket keeps a large
	// buffer while nothing comes.
	holdBuffer = time.Second
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// flow is one direction of a session.
type flow struct {
	s        *session
	src, dst net.Conn
	// first is the connection around src, which may hold bytes that were read already.
	first *conn.Conn
	// writing is held while dst is written to, until the outcome is noted.
	writing sync.Mutex
	// moved counts the bytes that dst took.
	moved int64
	// What it means for the session when src or dst ends or fails.
	closed, srcBroke, dstClosed, dstBroke l4.End
}

// errNotWritten ends a flow whose destination takes no more.
var errNotWritten = errors.New("the other side takes no more")

// copy passes bytes on until src ends (nil), dst takes no more (errNotWritten),
// or a read fails.
func (f *flow) copy() error {
	if f.first != nil {
		if done, err := f.copyFirst(); done {
			return err
		}
	}
	if handled, err := f.copySocket(); handled {
		return err
	}
	return f.copyPlain()
}

// write has dst take all of b.
func (f *flow) write(b []byte) error {
	// A connection that is no socket may take long for a large chunk, without
	// telling that it takes some.
	const most = 16 << 10
	f.writing.Lock()
	defer f.writing.Unlock()
	for len(b) > 0 {
		n, err := f.dst.Write(b[:min(len(b), most)])
		f.moved += int64(n)
		if err != nil {
			return f.writeFailed(err)
		}
		b = b[n:]
		f.s.touch()
	}
	return nil
}

// copyFirst passes on what was read already, or else the first bytes to come:
// only the connection knows. done is true when the direction has ended.
func (f *flow) copyFirst() (done bool, err error) {
	wait := make([]byte, waitSize)
	n, err := f.first.Read(wait)
	if n > 0 {
		f.s.touch()
		if err := f.write(wait[:n]); err != nil {
			return true, err
		}
	}
	if err != nil {
		return true, atEOF(err)
	}
	r := f.first.Reader()
	held, _ := r.Peek(r.Buffered())
	if err := f.write(held); err != nil {
		return true, err
	}
	_, _ = r.Discard(len(held))
	f.first.Release()
	return false, nil
}

// copyPlain passes bytes on from any kind of connection. While nothing comes,
// it holds no large buffer.
func (f *flow) copyPlain() error {
	wait := make([]byte, waitSize)
	var (
		large *[bufferSize]byte
		until time.Time // the read deadline, while there is a large buffer
	)
	defer func() {
		if large != nil {
			buffers.Put(large)
		}
	}()
	for {
		b := wait
		if large != nil {
			b = large[:]
			if now := time.Now(); until.Sub(now) < holdBuffer/2 {
				until = now.Add(holdBuffer)
				_ = f.src.SetReadDeadline(until)
			}
		}
		n, err := f.src.Read(b)
		if n > 0 {
			f.s.touch()
			if err := f.write(b[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil && large == nil && n == len(b):
			large, until = buffers.Get().(*[bufferSize]byte), time.Time{}
		case err == nil:
		case large != nil && errors.Is(err, os.ErrDeadlineExceeded):
			buffers.Put(large)
			large = nil
			_ = f.src.SetReadDeadline(time.Time{})
		default:
			return atEOF(err)
		}
	}
}

func atEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
