package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// watchAfter is how long an exchange runs before somebody looks whether the
// caller is still there. Quick ones never pay for it.
const watchAfter = 10 * time.Millisecond

// watch notices that a caller has gone while its request is being answered:
// nothing else reads the connection then. It looks by peeking, so that a
// pipelined request stays where it is; behind one it sees nothing more.
//
// A caller that has shut down its sending side only cannot be told from one
// that has closed the connection: it counts as gone, too.
type watch struct {
	c      *conn.Conn
	cancel context.CancelFunc
	timer  *time.Timer

	mu    sync.Mutex
	cond  sync.Cond
	state watchState
	// begun: start was called in this exchange.
	begun bool
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

// start arms the watch, once per exchange. The request must have been read to
// its end: from here on until stop nobody else may read the connection.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun || w.gone {
		return
	}
	w.begun = true
	w.state = watchArmed
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
		return
	}
	w.timer.Reset(watchAfter)
}

// look runs when the timer fires. It may come late, when stop has been called
// or even another exchange has begun; the state tells.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != watchArmed {
		return
	}
	w.state = watchPeeking
	_ = w.c.SetReadDeadline(time.Time{})
	br := w.c.Reader()
	w.mu.Unlock()
	_, err := br.Peek(1)
	w.mu.Lock()
	// A deadline is stop's way to end the look.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.gone = true
		if w.state == watchPeeking {
			w.cancel()
		}
	}
	w.state = watchOff
	w.cond.Broadcast()
}

// stop ends the watch and returns when nobody reads the connection any more.
// It reports whether the caller has gone.
func (w *watch) stop() (gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = false
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
