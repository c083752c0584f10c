package http1

import (
	"context"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// watchAfter is how long an exchange runs before somebody looks whether the
// caller is still there. Quick ones never pay for it.
const watchAfter = 10 * time.Millisecond

// watch notices that a caller has gone while its request is being answered:
// nothing else reads the connection then. It looks by peeking, so that a
// pipelined request stays where it is.
type watch struct {
	c      *conn.Conn
	cancel context.CancelFunc
	timer  *time.Timer

	mu    sync.Mutex
	cond  sync.Cond
	state watchState
	gone  bool
}

type watchState uint8

const (
	watchOff watchState = iota
	watchArmed
	watchPeeking
	watchStopping
)

func (w *watch) init(c *conn.Conn, cancel context.CancelFunc) {
	w.c, w.cancel = c, cancel
	w.cond.L = &w.mu
}

// start arms the watch. The request must have been read to its end.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != watchOff || w.gone {
		return
	}
	w.state = watchArmed
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
		return
	}
	w.timer.Reset(watchAfter)
}

func (w *watch) look() {
	w.mu.Lock()
	if w.state != watchArmed {
		w.mu.Unlock()
		return
	}
	w.state = watchPeeking
	w.mu.Unlock()

	_, err := w.c.Reader().Peek(1)

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.state == watchPeeking {
		w.gone = true
		w.cancel()
	}
	w.state = watchOff
	w.cond.Broadcast()
}

// stop ends the watch and returns when nobody reads the connection any more.
// It reports whether the caller has gone.
func (w *watch) stop() (gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.state {
	case watchArmed:
		w.timer.Stop()
		w.state = watchOff
	case watchPeeking:
		w.state = watchStopping
		_ = w.c.SetReadDeadline(time.Unix(1, 0))
		for w.state != watchOff {
			w.cond.Wait()
		}
		_ = w.c.SetReadDeadline(time.Time{})
	}
	return w.gone
}
