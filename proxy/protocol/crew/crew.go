package crew

import (
	"sync"
	"time"
)

const (
	// maxResting is how many workers wait for work at most, of those that were
	// needed at some time.
	maxResting = 256
	// trimEvery is how long a worker that is not needed stays, up to twice that.
	trimEvery = time.Second
)

// Work is what a worker does once.
type Work interface {
	comparable
	// Serve does it. A panic is for it to recover.
	Serve()
}

// Crew are the workers of one server, for all its connections. The zero value is
// ready to use. Its methods are safe for concurrent use.
type Crew[W Work] struct {
	mu sync.Mutex
	// resting are those that wait for work; who worked last is last.
	resting []chan W
	// unused is how few have rested at a time since the last trim: so many were
	// not needed.
	unused  int
	trimmer *time.Timer // nil while nobody rests
	conns   int
}

// Join counts a connection. While there is none, nobody rests.
func (c *Crew[W]) Join() {
	c.mu.Lock()
	c.conns++
	c.mu.Unlock()
}

// Leave ends what Join has begun. The last connection takes all workers along.
func (c *Crew[W]) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns--; c.conns == 0 {
		c.dismiss(len(c.resting))
	}
}

// Do has a worker serve w, and does not wait for it.
func (c *Crew[W]) Do(w W) {
	c.mu.Lock()
	last := len(c.resting) - 1
	if last < 0 {
		c.mu.Unlock()
		go c.work(w)
		return
	}
	inbox := c.resting[last]
	c.resting[last], c.resting = nil, c.resting[:last]
	c.unused = min(c.unused, last)
	c.mu.Unlock()
	inbox <- w
}

// work serves w, and then what else comes.
func (c *Crew[W]) work(w W) {
	inbox := make(chan W, 1)
	for more := true; more; w, more = <-inbox {
		w.Serve()
		if !c.rest(inbox) {
			return
		}
	}
}

// rest lets the worker with this inbox wait for work, unless enough do.
func (c *Crew[W]) rest(inbox chan W) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == 0 || len(c.resting) == maxResting {
		return false
	}
	c.resting = append(c.resting, inbox)
	if c.trimmer == nil {
		c.unused = 0
		c.trimmer = time.AfterFunc(trimEvery, c.trim)
	}
	return true
}

// trim sends those home that were not needed for a while.
func (c *Crew[W]) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trimmer == nil {
		return // the last connection has gone meanwhile
	}
	c.dismiss(c.unused)
	c.unused = len(c.resting)
	if c.trimmer != nil {
		c.trimmer.Reset(trimEvery)
	}
}

// dismiss sends the n home that have rested longest. mu is held.
func (c *Crew[W]) dismiss(n int) {
	for _, inbox := range c.resting[:n] {
		close(inbox)
	}
	left := copy(c.resting, c.resting[n:])
	clear(c.resting[left:])
	if c.resting = c.resting[:left]; left == 0 {
		c.resting = nil
		if c.trimmer != nil {
			c.trimmer.Stop()
			c.trimmer = nil
		}
	}
}
