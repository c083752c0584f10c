package http2

import (
	"sync"
	"time"
)

// workers are the goroutines of a server that answer requests. One is used
// again, for any connection, because its stack has grown to what a request
// needs; connections that are idle have none.
type workers struct {
	mu sync.Mutex
	// resting are those that wait for a request; the last began to last.
	resting []chan *call
	// unused is how few have rested at a time since the last trim: so many were
	// not needed.
	unused int
	timer  *time.Timer // nil while none rests
	conns  int
}

const (
	// maxResting is how many workers wait for requests, of those that were
	// needed at some time.
	maxResting = 256
	// trimEvery is how long a worker rests at least, and about twice of that at most.
	trimEvery = time.Second
)

// join counts a connection.
func (w *workers) join() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns++
}

// leave counts it no longer. No worker stays behind the last connection.
func (w *workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns--; w.conns == 0 {
		w.dismiss(len(w.resting))
	}
}

// start has a worker answer k.
func (w *workers) start(k *call) {
	w.mu.Lock()
	n := len(w.resting) - 1
	if n < 0 {
		w.mu.Unlock()
		go w.work(k)
		return
	}
	next := w.resting[n]
	w.resting[n], w.resting = nil, w.resting[:n]
	w.unused = min(w.unused, n)
	w.mu.Unlock()
	next <- k
}

// work answers k, and then other requests as they come.
func (w *workers) work(k *call) {
	next := make(chan *call, 1)
	for ok := true; ok; k, ok = <-next {
		sc := k.sc
		k.serve()
		sc.served()
		if !w.rest(next) {
			return
		}
	}
}

// rest has the worker with this channel wait, unless there are enough.
func (w *workers) rest(next chan *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == 0 || len(w.resting) >= maxResting {
		return false
	}
	w.resting = append(w.resting, next)
	if w.timer == nil {
		w.unused = 0
		w.timer = time.AfterFunc(trimEvery, w.trim)
	}
	return true
}

// trim lets those go that were not needed for a while.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return // the last connection has gone meanwhile
	}
	w.dismiss(w.unused)
	w.unused = len(w.resting)
	if w.timer != nil {
		w.timer.Reset(trimEvery)
	}
}

// dismiss lets the n go that have rested longest. mu is held.
func (w *workers) dismiss(n int) {
	for _, next := range w.resting[:n] {
		close(next)
	}
	left := copy(w.resting, w.resting[n:])
	clear(w.resting[left:])
	if w.resting = w.resting[:left]; left == 0 {
		w.resting = nil
		if w.timer != nil {
			w.timer.Stop()
			w.timer = nil
		}
	}
}
