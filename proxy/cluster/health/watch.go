package health

import (
	"context"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// watch is over one host. Between checks it is a timer and nothing else. The
// mutex of c guards all of it.
type watch struct {
	c     *Checker
	host  *upstream.Host
	timer *time.Timer // nil before Run
	// stop ends the check under way; nil while there is none.
	stop context.CancelFunc
	gone bool
	due  time.Time // when the next check begins, or was to, while it is under way
	// seen: there was a result. streak counts the last results in a row that
	// speak against what the host is taken for.
	seen   bool
	streak int
}

// end stops all checks for good.
func (w *watch) end() {
	w.gone = true
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.stop != nil {
		w.stop()
	}
}

// run makes one check and sets the time of the next. It is the timer's function.
func (w *watch) run() {
	c := w.c
	c.mu.Lock()
	if w.gone {
		c.mu.Unlock()
		return
	}
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	w.stop = stop
	host := w.host
	c.busy.Add(1)
	defer c.busy.Done()
	c.mu.Unlock()

	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	start := time.Now()
	err := c.try(ctx, host)
	<-c.slots

	c.mu.Lock()
	w.stop = nil
	if w.gone || ctx.Err() != nil {
		c.mu.Unlock()
		return // it says nothing about the host
	}
	host = w.host
	changes := w.judge(err)
	c.mu.Unlock()
	if changes {
		// Not under the lock: whoever watches the host may want SetHosts.
		c.change(host, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.gone {
		w.due = c.next(start)
		w.timer.Reset(time.Until(w.due))
	}
}

// judge counts a result, and reports whether the host goes out, or comes back,
// because of it.
func (w *watch) judge(err error) bool {
	first := !w.seen
	w.seen = true
	out := w.host.Trouble()&upstream.CheckFailed != 0
	if out == (err != nil) {
		w.streak = 0
		return false
	}
	threshold := w.c.check.unhealthy
	if out {
		threshold = w.c.check.healthy
	}
	if w.streak++; w.streak < threshold && !first {
		return false
	}
	w.streak = 0
	return true
}

// change takes a host out because of err, or, nil, brings it back.
func (c *Checker) change(host *upstream.Host, err error) {
	if !host.SetTrouble(upstream.CheckFailed, err != nil) {
		return
	}
	e := Event{Cluster: c.opts.Cluster, Host: host, Reason: upstream.CheckFailed, Out: err != nil, Cause: "check passed"}
	if err != nil {
		e.Cause = err.Error()
		c.opts.Log.Warn("health check: a host is out of use", "cluster", c.opts.Cluster, "host", host.String(), "error", err)
	} else {
		c.opts.Log.Info("health check: a host is back", "cluster", c.opts.Cluster, "host", host.String())
	}
	c.opts.Events.Record(e)
}
