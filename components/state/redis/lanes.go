package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

const (
	// batchCommands and batchBytes bound what one pipeline carries.
	batchCommands = 256
	batchBytes    = 1 << 20
	// queueCalls is how many calls may wait for a lane.
	queueCalls = 8192
)

// lanes send calls to Redis. Each lane is a goroutine that takes what waits,
// sends it as one pipeline over one connection, and hands out the replies. A
// call that finds a lane free goes at once; under load calls share round trips
// and system calls. There is no goroutine when nothing is to be done.
type lanes struct {
	settings *settings
	client   pool
	scripts  []script
	ctx      context.Context // never ends: a shared round trip is nobody's own
	quit     context.Context // ends with close
	end      context.CancelFunc

	mu      sync.Mutex
	closed  bool
	queue   []*call
	active  int
	running sync.WaitGroup
}

// call is one caller's commands.
type call struct {
	ctx  context.Context
	cmds []goredis.Cmder // the lane may replace them; each holds its own error
	// again says that the commands may be sent again when nobody knows whether
	// they were carried out.
	again bool
	size  int // bytes of payload
	since time.Time
	taken atomic.Bool // by the lane, or by the caller who gave up
	done  chan struct{}
	err   error // of the whole call: it was not sent
}

func newLanes(ctx context.Context, s *settings, scripts ...script) *lanes {
	l := &lanes{settings: s, scripts: scripts, ctx: context.WithoutCancel(ctx)}
	l.quit, l.end = context.WithCancel(l.ctx)
	l.client = s.connect(s.dialer(l.quit)) //nolint:contextcheck // connections outlive ctx, and end with quit
	return l
}

// do sends c's commands and waits for the replies. The error is of the whole
// call: ctx has ended (the commands may have been carried out or not), or they
// were not sent; errors of single commands are in the commands.
func (l *lanes) do(ctx context.Context, c *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.ctx, c.done, c.since = ctx, make(chan struct{}), time.Now()
	if err := l.enqueue(c); err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		c.taken.Store(true)
		return ctx.Err()
	}
}

func (l *lanes) enqueue(c *call) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return state.ErrClosed
	}
	if len(l.queue) >= queueCalls {
		return fmt.Errorf("redis %s: %d calls are waiting already, it does not keep up", l.settings.where, queueCalls)
	}
	l.queue = append(l.queue, c)
	if l.active < l.settings.lanes {
		l.active++
		l.running.Go(l.run)
	}
	return nil
}

// run is a lane: it works until the queue is empty.
func (l *lanes) run() {
	var batch []*call
	for {
		// Callers that are ready to run get to queue their calls first: fuller
		// pipelines for next to no delay.
		runtime.Gosched()
		l.mu.Lock()
		batch = l.take(batch[:0])
		if len(batch) == 0 {
			l.active--
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.send(batch)
		clear(batch)
	}
}

// take moves calls from the queue to batch. The caller holds the lock.
func (l *lanes) take(batch []*call) []*call {
	n, cmds, size := 0, 0, 0
	for _, c := range l.queue {
		if n > 0 && (cmds+len(c.cmds) > batchCommands || size+c.size > batchBytes) {
			break
		}
		n++
		cmds += len(c.cmds)
		size += c.size
		batch = append(batch, c)
	}
	if rest := copy(l.queue, l.queue[n:]); n > 0 {
		clear(l.queue[rest:])
		l.queue = l.queue[:rest]
	}
	return batch
}

// send carries out batch: one pipeline, and further ones for what may be tried
// again.
func (l *lanes) send(batch []*call) {
	live := batch[:0:0]
	for _, c := range batch {
		switch {
		case c.taken.Swap(true): // its caller gave up
		case l.quit.Err() != nil:
			l.finish(c, state.ErrClosed)
		case l.settings.poolTimeout > 0 && time.Since(c.since) > l.settings.poolTimeout:
			l.finish(c, components.Late(fmt.Errorf("redis %s: no connection was free within %s (poolTimeout)", l.settings.where, l.settings.poolTimeout)))
		default:
			live = append(live, c)
		}
	}
	for try := 0; len(live) > 0; try++ {
		l.exec(live, func(goredis.Cmder) bool { return true })
		l.exec(live, unknownScript)
		rest := live[:0]
		for _, c := range live {
			if try < l.settings.retries && l.worthAnother(c) {
				rest = append(rest, c)
			} else {
				l.finish(c, nil)
			}
		}
		live = rest
		if len(live) > 0 && !l.pause(try) {
			for _, c := range live {
				l.finish(c, nil)
			}
			return
		}
	}
}

// exec sends the commands of calls that which picks as one pipeline. A command
// that was sent before goes with its script's source when that was missing.
func (l *lanes) exec(calls []*call, which func(goredis.Cmder) bool) {
	var pipe goredis.Pipeliner
	for _, c := range calls {
		for i, cmd := range c.cmds {
			if !which(cmd) {
				continue
			}
			if unknownScript(cmd) {
				cmd = withSource(l.ctx, cmd, l.scripts)
				c.cmds[i] = cmd
			}
			cmd.SetErr(nil)
			if pipe == nil {
				pipe = l.client.Pipeline()
			}
			_ = pipe.Process(l.ctx, cmd) // only collects
		}
	}
	if pipe != nil {
		_, _ = pipe.Exec(l.ctx) // every command has its own error
	}
}

func (l *lanes) finish(c *call, err error) {
	c.err = err
	close(c.done)
}

// pause waits before another try; false when the store is being closed.
func (l *lanes) pause(try int) bool {
	d := min(l.settings.minPause<<min(try, 20), l.settings.maxPause)
	if d > 1 {
		d = d/2 + rand.N(d/2) //nolint:gosec // spreads the tries of many clients
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.quit.Done():
		return false
	}
}

// worthAnother tells whether c failed in a way that another try may cure, and
// may be tried again at all. A call is tried again as a whole, so none of its
// commands must be in doubt.
func (l *lanes) worthAnother(c *call) bool {
	if c.ctx.Err() != nil {
		return false
	}
	worth := false
	for _, cmd := range c.cmds {
		switch failure(cmd.Err()) {
		case notCarriedOut:
			worth = true
		case inDoubt:
			if !c.again {
				return false
			}
			worth = true
		case final:
		}
	}
	// Commands that have succeeded would be carried out twice.
	if worth && !c.again {
		for _, cmd := range c.cmds {
			if failure(cmd.Err()) != notCarriedOut {
				return false
			}
		}
	}
	return worth
}

// close ends the lanes and closes the connections. It waits for the lanes.
func (l *lanes) close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.running.Wait()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.end()
	err := l.client.Close()
	l.running.Wait()
	if errors.Is(err, errNotSent) || components.IsAway(err) {
		return nil // TLS would say goodbye, to a server that is gone
	}
	return err
}

// A verdict says what an error means for another try.
type verdict int

const (
	final         verdict = iota // success, or an answer that will not change
	notCarriedOut                // the server has not done it
	inDoubt                      // the connection was lost, nobody knows
)

// notNow are the beginnings of Redis' answers that pass by themselves.
var notNow = []string{"LOADING ", "READONLY ", "CLUSTERDOWN ", "TRYAGAIN ", "MASTERDOWN ", "ERR max number of clients reached"}

func failure(err error) verdict {
	if err == nil || errors.Is(err, goredis.Nil) || errors.Is(err, goredis.ErrClosed) {
		return final
	}
	if _, ok := errors.AsType[goredis.Error](err); ok {
		for _, prefix := range notNow {
			if strings.HasPrefix(err.Error(), prefix) {
				return notCarriedOut
			}
		}
		return final
	}
	if d, ok := errors.AsType[*dialError](err); ok {
		if d.Timeout() { // the next would take as long
			return final
		}
		return notCarriedOut
	}
	if errors.Is(err, errNotSent) || strings.HasPrefix(err.Error(), "redis: all sentinels") || strings.HasPrefix(err.Error(), "redis: cluster has no nodes") {
		return notCarriedOut
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return final
	}
	return inDoubt
}
