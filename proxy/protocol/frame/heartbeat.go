package frame

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// heartbeats ask a silent host whether it is alive.
type heartbeats struct {
	cl *client

	mu    sync.Mutex
	timer *time.Timer // nil when there are none, or no more
	seen  int64       // frames that had come when the timer was set
	// asked: the last one, of this time, was not answered yet. missed counts those
	// that were not answered in time, in a row.
	asked  bool
	at     time.Time
	missed int
}

// errSilent says that a host is gone.
type errSilent struct{ missed int }

func (e errSilent) Error() string {
	return fmt.Sprintf("the host has not answered %d heartbeats", e.missed)
}

func (h *heartbeats) start(cl *client) {
	h.cl = cl
	if cl.limits.HeartbeatInterval <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(cl.limits.HeartbeatInterval, h.tick)
}

func (h *heartbeats) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// tick is called when the interval is over, or the time for an answer; in a long
// one, it is every interval, for what has come meanwhile.
func (h *heartbeats) tick() {
	if err := h.look(); err != nil {
		h.cl.fail(err)
	}
}

func (h *heartbeats) look() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	cl := h.cl
	if h.timer == nil {
		return nil
	}
	if got := cl.got.Load(); got != h.seen || !cl.in.waits.Load() {
		// Something has come, or would if we read.
		h.seen, h.asked, h.missed = got, false, 0
		h.timer.Reset(cl.limits.HeartbeatInterval)
		return nil
	}
	if h.asked {
		if left := cl.limits.HeartbeatTimeout - time.Since(h.at); left > 0 {
			h.timer.Reset(min(left, cl.limits.HeartbeatInterval))
			return nil
		}
		h.asked = false
		if h.missed++; h.missed >= cl.limits.HeartbeatFailures {
			h.timer = nil
			return errSilent{h.missed}
		}
		h.timer.Reset(max(cl.limits.HeartbeatInterval-cl.limits.HeartbeatTimeout, 0))
		return nil
	}
	if !h.ask() {
		h.timer = nil
		return nil
	}
	h.asked, h.at = true, time.Now()
	h.timer.Reset(min(cl.limits.HeartbeatTimeout, cl.limits.HeartbeatInterval))
	return nil
}

// ask sends a heartbeat; false says that the protocol has none.
func (h *heartbeats) ask() bool {
	cl := h.cl
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.out.writing {
		return true // the host takes nothing: asking will not help
	}
	id := cl.newID()
	err := cl.out.queue(func(dst []byte) ([]byte, error) {
		return cl.codec.Append(dst, &Message{Type: Heartbeat, ID: id, Header: new(stream.Header)})
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return false
	}
	cl.out.kick()
	return true
}
