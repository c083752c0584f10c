package frame

import (
	"sync"
	"time"
)

const (
	// maxResting is how many workers wait for work at most.
	maxResting = 256
	// trimEvery is how long a worker that is not needed stays, up to twice that.
	trimEvery = time.Second
)

// workers are the goroutines of a server that answer requests, of all its
// connections. A goroutine is used again because its stack has the size by then
// that answering takes.
type workers struct {
	mu      sync.Mutex
	resting []chan *call // the one that worked last is last
	// needless is how many have been resting all the time since the last trim.
	needless int
	trimmer  *time.Timer // nil while nobody rests
	conns    int
}

// join counts a connection.
func (w *workers) join() {
	w.mu.Lock()
	w.conns++
	w.mu.Unlock()
}

// leave ends what join has begun. The last connection takes all workers along.
func (w *workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns--; w.conns == 0 {
		w.send(len(w.resting))
	}
}

// do has a worker serve k.
func (w *workers) do(k *call) {
	w.mu.Lock()
	last := len(w.resting) - 1
	if last < 0 {
		w.mu.Unlock()
		go w.work(k)
		return
	}
	inbox := w.resting[last]
	w.resting[last] = nil
	w.resting = w.resting[:last]
	w.needless = min(w.needless, last)
	w.mu.Unlock()
	inbox <- k
}

func (w *workers) work(k *call) {
	inbox := make(chan *call, 1)
	for {
		k.serve()
		if !w.rest(inbox) {
			return
		}
		var more bool
		if k, more = <-inbox; !more {
			return
		}
	}
}

// rest lets a worker wait for work; false sends it home.
func (w *workers) rest(inbox chan *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == 0 || len(w.resting) == maxResting {
		return false
	}
	w.resting = append(w.resting, inbox)
	if w.trimmer == nil {
		w.needless = 0
		w.trimmer = time.AfterFunc(trimEvery, w.trim)
	}
	return true
}

// trim sends those home that nobody has needed.
func (w *workers) trim() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send(w.needless)
	w.needless = len(w.resting)
	if w.trimmer != nil {
		w.trimmer.Reset(trimEvery)
	}
}

// send sends the first n of the resting home. mu is held.
func (w *workers) send(n int) {
	for _, inbox := range w.resting[:n] {
		close(inbox)
	}
	w.resting = append([]chan *call(nil), w.resting[n:]...)
	if len(w.resting) == 0 && w.trimmer != nil {
		w.trimmer.Stop()
		w.trimmer = nil
	}
}
