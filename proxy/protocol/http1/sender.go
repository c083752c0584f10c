package http1

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// sender is the goroutine that sends a request's body while the client
// receives: a host may answer before it has seen all of it.
type sender struct {
	cl *client
	// running: start was called, and wait has not returned since.
	running bool
	// source is what is being sent.
	source io.Closer
	// done gets the goroutine's last word: why the body was not sent to its end.
	done chan error
	// ended: the body was read to its end; only the last write is left.
	ended atomic.Bool

	mu sync.Mutex
	// waiting: no answer has begun.
	waiting bool
	// failed is why the body could not be sent to its end; broken: because the
	// host takes no more of it.
	failed error
	broken bool
}

func (s *sender) start(req *stream.Request, kind bodyKind) {
	s.begin(req.Body)
	go s.run(req, kind)
}

// begin gets ready for a goroutine that sends source.
func (s *sender) begin(source io.Closer) {
	if s.done == nil {
		s.done = make(chan error, 1)
	}
	s.running, s.waiting, s.broken, s.failed, s.source = true, true, false, nil, source
	s.ended.Store(false)
}

func (s *sender) run(req *stream.Request, kind bodyKind) {
	_, err := copyBody(s.cl.c, req.Body, kind, req.ContentLength, &req.Trailer, &s.ended)
	s.fail(err)
	s.done <- err
}

// fail does what follows from err.
func (s *sender) fail(err error) {
	if err == nil {
		return
	}
	_, source := errors.AsType[*readError](err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	if source || errors.Is(err, os.ErrDeadlineExceeded) {
		// The caller's body broke off, or the host does not take it: no
		// answer to it can be had.
		_ = s.cl.end(err)
		return
	}
	// A host that takes no more may answer, but that wait has an end.
	if s.broken = true; s.waiting {
		_ = s.cl.c.SetReadDeadline(earlier(s.cl.deadline, time.Now().Add(lastWords)))
	}
}

// failure returns why the body could not be sent to its end.
func (s *sender) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// answered is called when the head of the answer has come: its body may take
// all the time that the exchange has.
func (s *sender) answered() {
	if !s.running {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting = false; s.broken {
		_ = s.cl.c.SetReadDeadline(s.cl.deadline)
	}
}

// stop ends the sending and waits for it; the connection must be closed. It
// returns why the body was not sent to its end.
func (s *sender) stop() error {
	if !s.running {
		return nil
	}
	_ = s.source.Close()
	s.running = false
	return <-s.done
}

// lastWrite is how long the last write of a body may take once its answer has
// been received whole.
const lastWrite = 100 * time.Millisecond

// wait returns the outcome if the sending is over, or as good as over; ok tells.
func (s *sender) wait() (err error, ok bool) {
	select {
	case err := <-s.done:
		s.running = false
		return err, true
	default:
	}
	if !s.ended.Load() {
		return nil, false
	}
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case err := <-s.done:
		s.running = false
		return err, true
	case <-timer.C:
		return nil, false
	}
}
