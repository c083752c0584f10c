package frame

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

const (
	// maxOutput is how many bytes may wait to be written before those who have
	// more to say wait too. A frame may exceed it.
	maxOutput = 256 << 10
	// maxPiece is the most bytes that are written at a time, so that a peer
	// that takes them slowly has the connection's write timeout for each piece.
	maxPiece = 256 << 10
	// maxSpare is the largest buffer that is kept for the next bytes.
	maxSpare = 256 << 10
)

// output is what a connection has to write, and the writer that takes it away.
// The mutex it is made with guards it.
type output struct {
	mu *sync.Mutex
	c  *conn.Conn
	// failed is called, without the mutex, when a write has failed.
	failed func(error)

	buf, spare []byte
	// queued counts all bytes that were ever queued; those before taken were
	// given to the connection, perhaps in vain.
	queued, taken uint64
	writing       bool
	broken        bool
	// closing ends the connection when all is written; nil is nothing.
	closing func() error
	run     func()
	stopped sync.Cond // the writer has come to rest
	turns   []*turn

	// moved is when the peer last took something while others waited for room, or
	// the first of them began to, in ns after made.
	moved atomic.Int64
	made  time.Time
}

// turn is somebody who waits for room.
type turn struct {
	ready  chan struct{} // has room for one
	queued bool
}

func (o *output) init(mu *sync.Mutex, c *conn.Conn, failed func(error)) {
	o.mu, o.c, o.failed, o.made = mu, c, failed, time.Now()
	o.run = o.flush
	o.stopped.L = mu
}

// full reports whether those who have more to say must wait.
func (o *output) full() bool { return len(o.buf) >= maxOutput }

// moves notes that the peer has taken something, or is waited for from now on.
func (o *output) moves() { o.moved.Store(int64(time.Since(o.made))) }

// rested returns how long moves was not called.
func (o *output) rested() time.Duration {
	return time.Since(o.made) - time.Duration(o.moved.Load())
}

// queue takes what add returns for the bytes queued so far: those, and more.
// After an error nothing was added. The mutex is held.
func (o *output) queue(add func(dst []byte) ([]byte, error)) (err error) {
	before := len(o.buf)
	defer func() {
		if err != nil || len(o.buf) < before {
			o.buf = o.buf[:before]
		}
	}()
	b, err := add(o.buf)
	if err != nil {
		return err
	}
	o.buf = b
	o.queued += uint64(len(b) - before)
	return nil
}

// kick has what is queued written by a goroutine. The mutex is held.
func (o *output) kick() {
	if o.start() {
		go o.run()
	}
}

// start reports whether the caller has to have flush called. The mutex is held.
func (o *output) start() bool {
	if o.writing || o.broken || len(o.buf) == 0 {
		return false
	}
	o.writing = true
	return true
}

// flush writes until nothing is queued. Who calls it may wait for the peer for
// long, so a connection's reader never does: two ends whose readers wait for
// each other would not wake up.
func (o *output) flush() {
	for {
		// Whoever can run and has something to say says it first: one write
		// for many messages.
		runtime.Gosched()
		o.mu.Lock()
		b := o.buf
		if len(b) == 0 || o.broken {
			o.writing = false
			closing := o.closing
			o.wake(maxOutput)
			o.stopped.Broadcast()
			o.mu.Unlock()
			if closing != nil {
				_ = closing()
			}
			return
		}
		o.buf, o.spare = o.spare[:0], nil
		o.taken = o.queued
		if len(o.turns) > 0 {
			o.moves()
		}
		o.wake(maxOutput)
		o.mu.Unlock()

		var err error
		for rest := b; len(rest) > 0 && err == nil; {
			n := 0
			n, err = o.c.Write(rest[:min(len(rest), maxPiece)])
			if rest = rest[n:]; err != nil {
				o.mu.Lock()
				o.taken -= uint64(len(rest)) // these were not written for sure
				o.broken = true
				o.mu.Unlock()
				o.failed(err)
			} else if len(rest) > 0 {
				o.moves()
			}
		}
		o.mu.Lock()
		if o.spare == nil && cap(b) <= maxSpare {
			o.spare = b[:0]
		}
		o.mu.Unlock()
	}
}

// wait returns when the writer rests.
func (o *output) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing {
		o.stopped.Wait()
	}
}

// await puts t into the queue of those who wait for room. The mutex is held.
func (o *output) await(t *turn) {
	if t.ready == nil {
		t.ready = make(chan struct{}, 1)
	}
	t.queued = true
	o.turns = append(o.turns, t)
}

// leave takes t off the queue; it passes its turn on if that has come already.
// The mutex is held.
func (o *output) leave(t *turn) {
	if !t.queued {
		<-t.ready
		o.wake(1)
		return
	}
	t.queued = false
	for i, other := range o.turns {
		if other == t {
			o.turns = append(o.turns[:i], o.turns[i+1:]...)
			return
		}
	}
}

// wake lets as many go on as may fill room bytes. The mutex is held.
func (o *output) wake(room int) {
	const each = 1 << 10
	for ; len(o.turns) > 0 && (room > 0 || o.broken); room -= each {
		t := o.turns[0]
		o.turns[0], o.turns = nil, o.turns[1:]
		t.queued = false
		t.ready <- struct{}{}
	}
}

// end keeps anything more from being written. The mutex is held.
func (o *output) end() {
	o.broken = true
	o.wake(0)
}

// quiet gives memory up that nobody needs now. The mutex is held.
func (o *output) quiet() {
	o.spare = nil
	if len(o.buf) == 0 && !o.writing {
		o.buf = nil
	}
}
