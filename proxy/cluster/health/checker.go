package health

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Options are the surroundings of a Checker.
type Options struct {
	// Cluster is the cluster's name, for records.
	Cluster string
	// Dial opens the connection for a check, the way the cluster's requests get
	// theirs. It must return when ctx ends.
	Dial func(ctx context.Context, to Target) (net.Conn, error)
	// Protocols are what can be spoken with hosts.
	Protocols *protocol.Table
	// Log hears of hosts that go out and come back; nil drops it.
	Log *slog.Logger
	// Events has a line for the same; nil is none.
	Events *EventLog
	// Before is the Checker that the hosts had in an earlier configuration:
	// what it knows of hosts that stay, and their times, are taken over when
	// they are set. It may still run, or have ended. nil is none.
	Before *Checker
}

// Target is what the connection for a check leads to.
type Target struct {
	Host *upstream.Host
	// Port replaces the port of the host's address; 0 keeps it.
	Port int
	// Protocol will be spoken on it; nil is none of ours: nothing will be said.
	Protocol protocol.Protocol
	// Security says whether it is to be with TLS.
	Security Security
}

// Security says whether a connection is made with TLS.
type Security uint8

// Kinds of security.
const (
	// AsRequests: with TLS if the cluster's requests to the host have it.
	AsRequests Security = iota
	// Plain: without TLS.
	Plain
	// Secure: with the cluster's TLS context, even to a host that is spoken to
	// without; an error where the cluster has none.
	Secure
)

const (
	// atOnce is the most checks of a cluster at a time. While hosts do not
	// answer at all, 256 of them are asked within one timeout.
	atOnce = 256
	// apart is how far apart the first checks of hosts that come together are
	// begun; all of them within an interval.
	apart = 2 * time.Millisecond
	// lastLines is how long the end of Run waits for the event log.
	lastLines = time.Second
)

// Checker checks the hosts of one cluster while it runs. Its methods are safe
// for concurrent use.
//
// Each host is checked at its own times: first the initial delay after it came
// (a bit later when many come together), then every interval, counted from the
// beginning of a check to the beginning of the next. No two checks of a host
// are under way at a time, and none takes longer than the timeout.
//
// A new host is in use until a check fails. Its first check decides alone, as
// nothing is known yet; from then on it takes as many results in a row as the
// thresholds say to take the host out, or to bring it back.
type Checker struct {
	check Check
	opts  Options
	proto protocol.Protocol // nil when none is spoken
	slots chan struct{}

	mu sync.Mutex
	// ctx is that of Run, nil before it; ended is set once that is over.
	ctx   context.Context
	ended bool
	// watches holds what is checked by address: hosts may share one.
	watches map[string][]*watch
	busy    sync.WaitGroup // checks under way
}

// New makes a Checker, which has no hosts and does nothing until it runs.
func New(check Check, opts Options) *Checker {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Checker{check: check, opts: opts, slots: make(chan struct{}, atOnce)}
	if name := check.kind.protocol(); name != "" && opts.Protocols != nil {
		c.proto, _ = opts.Protocols.Lookup(name)
	}
	return c
}

// Run checks the hosts until ctx ends, and returns when no check is under way
// any more. It is called once. It leaves the hosts as it found them last: who
// does not have them checked any more clears upstream.CheckFailed.
func (c *Checker) Run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.opts.Before = nil // or each would keep all that were before it
	var all []*watch
	for _, list := range c.watches {
		all = append(all, list...)
	}
	c.begin(all)
	c.mu.Unlock()

	<-ctx.Done()
	c.mu.Lock()
	c.ended = true
	for _, list := range c.watches {
		for _, w := range list {
			w.end()
		}
	}
	c.mu.Unlock()
	c.busy.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLines)
	defer cancel()
	c.opts.Events.Flush(flush)
}

// SetHosts says which hosts are checked from now on, before Run or while it
// works. Those that stay (upstream.Host.Same, at the same address) keep their
// rhythm and what is known about them. It does not block, and calls nothing
// that is outside.
func (c *Checker) SetHosts(hosts []*upstream.Host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	next := make(map[string][]*watch, len(hosts))
	var added []*watch
	for _, h := range hosts {
		if find(next[h.Address], h) != nil {
			continue // listed twice
		}
		w := find(c.watches[h.Address], h)
		if w == nil {
			w = c.newWatch(h)
			added = append(added, w)
		}
		w.host = h
		next[h.Address] = append(next[h.Address], w)
	}
	for address, list := range c.watches {
		for _, w := range list {
			if !slices.Contains(next[address], w) {
				w.end()
			}
		}
	}
	c.watches = next
	if c.ctx != nil {
		c.begin(added)
	}
}

// newWatch makes the watch over a host, with what Before knows about it. mu is held.
func (c *Checker) newWatch(h *upstream.Host) *watch {
	w := &watch{c: c}
	if b := c.opts.Before; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if old := find(b.watches[h.Address], h); old != nil {
			w.due, w.seen, w.streak = old.due, old.seen, old.streak
		}
	}
	return w
}

// find returns the watch over a host; nil if there is none.
func find(list []*watch, h *upstream.Host) *watch {
	for _, w := range list {
		if w.host.Same(h) {
			return w
		}
	}
	return nil
}

// begin sets the times of the first checks. mu is held.
func (c *Checker) begin(added []*watch) {
	now := time.Now()
	window := min(c.check.interval, time.Duration(len(added))*apart)
	for i, w := range added {
		if w.due.IsZero() {
			offset := time.Duration(float64(window) * float64(i) / float64(len(added)))
			w.due = now.Add(c.check.initialDelay + offset)
		} else if latest := now.Add(c.check.interval); w.due.After(latest) {
			w.due = latest // those before were further apart
		}
		w.timer = time.AfterFunc(w.due.Sub(now), w.run)
	}
}

// next is when a host is checked again after a check that began at start.
func (c *Checker) next(start time.Time) time.Time {
	next := start.Add(c.check.interval)
	if c.check.jitter > 0 {
		next = next.Add(rand.N(c.check.jitter + 1))
	}
	return next
}
