package frame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/crew"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const (
	// maxControl is how many bytes of answers to heartbeats may wait for a peer
	// that does not read them, before no more is read from it.
	maxControl = 64 << 10
	// maxFree is how many calls a connection keeps for reuse.
	maxFree = 128
	// patience is how long a connection that drains may go on without a pause of
	// conn.LastCall. Then it ends as soon as all is answered that came; after
	// mostPatience no more is taken from it until that is so.
	patience     = 3 * time.Second
	mostPatience = 3 * patience
	// farewell is how long a caller may take to close a connection that we have
	// ended: to close it with something unread would take our last answers along.
	farewell = time.Second
)

// server answers callers' connections.
type server struct {
	codec   Codec
	opts    protocol.ServerOptions
	limits  Options
	workers crew.Crew[*call]
	// conns counts the connections that there were.
	conns atomic.Uint64
}

// serving is one caller's connection.
type serving struct {
	srv *server
	c   *conn.Conn
	h   stream.Handler
	// life is that of its requests, but for those that get no answer: when the
	// caller has gone, these go on under lasting. A caller that has only ended its
	// own direction has not gone.
	life, lasting context.Context
	peer          string
	target        string // where a captured connection wanted to go; else ""
	number        uint64
	in            reader

	mu  sync.Mutex
	out output
	// busy counts requests that are being answered, held their bytes. changed
	// is signalled when either falls.
	busy, held int
	changed    sync.Cond
	free       []*call
	// answered is when the last of them was over, or the connection began.
	answered time.Time
	// told: the caller was told to go away.
	told bool
	// hung: the connection ends when nothing is being answered any more, and
	// takes nothing until then. last: it will be hung when nothing is. left: it
	// was ended in this way.
	hung, last, left bool
	// drains is when the reader has seen that the connection drains; zero is never.
	drains time.Time
	// blocked counts answers that wait for room in the output.
	blocked atomic.Int32
	// control counts bytes of answers to heartbeats since the output was empty.
	control int
	calls   sync.WaitGroup
}

var errOver = errors.New("the connection is over")

// ServeConn implements protocol.Server.
func (srv *server) ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error {
	life, cancel := stream.NewLife(ctx)
	sc := &serving{srv: srv, c: c, h: h, life: life, lasting: ctx, peer: c.RemoteAddr().String(), target: c.Target(), number: srv.conns.Add(1), answered: time.Now()}
	sc.changed.L = &sc.mu
	sc.out.init(&sc.mu, c, func(error) {
		_ = c.Close()
		cancel()
	})
	sc.in = reader{c: c, codec: srv.codec, limits: &srv.limits, rest: sc.rest}
	srv.workers.Join()
	// The end of ctx ends every wait on the connection.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })

	err := sc.read()
	over := errors.Is(err, errOver)
	switch {
	case over:
		sc.out.wait()
		err = nil
	case errors.Is(err, io.EOF):
		sc.remain(cancel)
	default:
		sc.abandon(cancel)
	}
	sc.calls.Wait()
	sc.out.wait()
	sc.in.drop()
	if over && sc.last {
		sc.linger()
	}
	cancel()
	stop()
	srv.workers.Leave()
	if ctx.Err() != nil || errors.Is(err, io.EOF) || sc.over() {
		return nil
	}
	return err
}

// abandon gives up what a caller has asked for that takes no answers any more.
func (sc *serving) abandon(cancel context.CancelFunc) {
	cancel()
	sc.mu.Lock()
	sc.out.end()
	sc.mu.Unlock()
	_ = sc.c.SetWriteDeadline(time.Unix(1, 0)) // a writer that waits for the peer
}

// remain answers a caller that has asked for what it wants and ended its direction.
// One that is gone altogether looks the same, until it hangs up or does not take
// what is written: only then are its requests given up.
func (sc *serving) remain(cancel context.CancelFunc) {
	var watch sync.WaitGroup
	_ = sc.c.SetReadDeadline(time.Time{})
	if sc.working() {
		watch.Go(func() {
			if sc.c.WaitHangUp() == nil {
				sc.abandon(cancel)
			}
		})
	}
	sc.calls.Wait()
	sc.out.wait()
	_ = sc.c.SetReadDeadline(time.Unix(1, 0))
	watch.Wait()
}

// working reports whether requests are being answered, or answers written.
func (sc *serving) working() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.busy > 0 || sc.out.writing
}

// linger lets the caller take our last answers, and close the connection.
func (sc *serving) linger() {
	_ = sc.c.CloseWrite()
	_ = sc.c.SetReadDeadline(time.Now().Add(farewell))
	_, _ = io.Copy(io.Discard, sc.c)
}

// impatient ends a connection that drains, and whose caller does not pause.
func (sc *serving) impatient() {
	if !sc.c.Draining() {
		return
	}
	if sc.drains.IsZero() {
		sc.drains = time.Now()
	}
	waited := time.Since(sc.drains)
	if waited < patience {
		return
	}
	sc.c.SetCause(conn.Drained)
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.last = true
	sc.hung = sc.hung || waited >= mostPatience
	sc.leave()
}

// read takes frames until the connection ends.
func (sc *serving) read() error {
	for {
		sc.impatient()
		k := sc.take()
		if err := sc.in.next(&k.m); err != nil {
			return sc.ended(k, err)
		}
		switch k.m.Type {
		case Request, OneWay:
			if !sc.begin(k) {
				k.m.from.release()
				return errOver
			}
			continue
		case Heartbeat:
			sc.beat(&k.m)
		case HeartbeatReply, Response, GoAway:
			// Nobody has asked. A caller that says good-bye just goes, when it
			// has its answers.
		}
		k.m.from.release()
		sc.giveBack(k)
	}
}

// ended makes the error that the reader has ended with that of the connection.
func (sc *serving) ended(k *call, err error) error {
	e, bad := errors.AsType[*stream.Error](err)
	if sc.drained() {
		return errOver // what has begun was not taken
	}
	if !bad && errors.Is(err, io.EOF) && sc.in.partial() {
		e, bad = &stream.Error{Kind: stream.BadMessage, Op: "read frame", Err: io.ErrUnexpectedEOF}, true
	}
	if !bad {
		return err
	}
	e.Side = stream.Downstream
	if e.Kind == stream.BadMessage || e.Kind == stream.TooLarge {
		sc.c.SetCause(conn.ProtocolError)
	}
	if r, ok := sc.h.(stream.Rejecter); ok {
		sc.describe(&k.req)
		status := e.Status()
		if e.Kind == stream.Timeout {
			status = 408
		}
		r.Reject(sc.life, &k.req, status, e)
	}
	return e
}

// take returns a call to use.
func (sc *serving) take() *call {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if n := len(sc.free); n > 0 {
		k := sc.free[n-1]
		sc.free[n-1], sc.free = nil, sc.free[:n-1]
		return k
	}
	return &call{sc: sc, out: outgoing{codec: sc.srv.codec, limit: sc.srv.limits.MaxFrame}}
}

// giveBack takes a call that nobody uses.
func (sc *serving) giveBack(k *call) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.keep(k)
}

func (sc *serving) keep(k *call) {
	if len(sc.free) < maxFree {
		sc.free = append(sc.free, k)
	}
}

// begin has a request answered, when there is room for one more. It is not when
// the connection is to end.
func (sc *serving) begin(k *call) bool {
	size := len(k.m.Frame)
	sc.mu.Lock()
	for sc.busy >= sc.srv.limits.MaxConcurrent || sc.busy > 0 && sc.held+size > sc.srv.limits.MaxHeld {
		sc.changed.Wait()
	}
	if sc.hung {
		sc.mu.Unlock()
		return false
	}
	sc.busy++
	sc.held += size
	sc.mu.Unlock()
	k.size = size
	sc.calls.Add(1)
	sc.describe(&k.req)
	sc.srv.workers.Do(k)
	return true
}

// done ends what begin has begun. The mutex is held.
func (sc *serving) done(k *call) {
	sc.busy--
	sc.held -= k.size
	sc.leave()
	if sc.busy == 0 && sc.srv.opts.IdleTimeout > 0 {
		sc.answered = time.Now()
	}
	sc.changed.Signal()
}

// Number implements stream.Caller.
func (sc *serving) Number() uint64 { return sc.number }

// Blocked reports whether answers wait for the caller to take others, of which it has
// taken none for a while.
func (sc *serving) Blocked() bool {
	return sc.blocked.Load() > 0 && sc.out.rested() >= stall/2
}

// Life implements stream.Caller.
func (sc *serving) Life() context.Context { return sc.life }

// HangUp implements stream.Caller.
func (sc *serving) HangUp() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if !sc.hung {
		sc.hung = true
		sc.leave()
	}
}

// over reports whether HangUp was called.
func (sc *serving) over() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.hung
}

// drained reports whether the connection has ended because it drains.
func (sc *serving) drained() bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.hung && sc.last
}

// leave ends the connection when all is answered, if it is to end then. The
// mutex is held.
func (sc *serving) leave() {
	if !sc.hung && !sc.last || sc.busy > 0 || sc.left {
		return
	}
	sc.hung, sc.left = true, true
	end := sc.c.Close
	if sc.last { // see linger
		end = sc.c.CloseWrite
	}
	if sc.out.writing && !sc.out.broken {
		sc.out.closing = end
	} else {
		go func() { _ = end() }() // what is queued for nobody is lost
	}
}

func (sc *serving) describe(req *stream.Request) {
	req.Caller = sc
	req.Protocol = sc.srv.codec.Name()
	req.Target = sc.target
	req.Info.Start = sc.in.begun
	req.Info.Listener = sc.srv.opts.Listener
	req.Info.Downstream = sc.peer
}

// beat answers a heartbeat.
func (sc *serving) beat(m *Message) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if len(sc.out.buf) == 0 {
		sc.control = 0
	}
	if sc.control > maxControl && !sc.out.broken {
		// Wait for the caller to read what it has asked for.
		var t turn
		sc.out.await(&t)
		sc.mu.Unlock()
		<-t.ready
		sc.mu.Lock()
		sc.control = 0
	}
	if n, err := appendReply(&sc.out, sc.srv.codec, m, nil); err == nil {
		sc.control += n
		sc.out.kick()
	}
}

// appendReply queues what answers req, and returns how many bytes that were.
func appendReply(out *output, codec Codec, req *Message, e *stream.Error) (n int, err error) {
	reply := codec.Reply(req, e)
	reply.ID, reply.Request = req.ID, req
	if reply.Header == nil {
		reply.Header = new(stream.Header)
	}
	before := out.queued
	err = out.queue(func(dst []byte) ([]byte, error) { return codec.Append(dst, &reply) })
	return int(out.queued - before), err
}

// rest waits until the caller sends something more.
func (sc *serving) rest() error {
	idle := sc.srv.opts.IdleTimeout
	wait := idle
	if idle > hold {
		wait -= hold // which has passed already
	}
	for {
		sc.goAway()
		sc.impatient()
		err := sc.wait(wait)
		if err == nil {
			return nil
		}
		if sc.drained() {
			return errOver
		}
		sc.mu.Lock()
		busy, answered := sc.busy > 0, sc.answered
		sc.mu.Unlock()
		switch {
		case errors.Is(err, conn.ErrDraining):
			if !busy && (sc.told || !sc.srv.limits.GoAway) {
				sc.c.SetCause(conn.Drained)
				return errOver
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if wait = idle; busy {
				continue
			}
			if wait -= time.Since(answered); wait <= 0 {
				sc.c.SetCause(conn.IdleTimeout)
				return errOver
			}
		default:
			return err
		}
	}
}

// wait waits for bytes, or for something that may be the end.
func (sc *serving) wait(idle time.Duration) error {
	if sc.srv.limits.GoAway && !sc.c.Draining() {
		return sc.c.WaitOrDrain(idle, sc.quiet)
	}
	return sc.c.WaitQuiet(idle, sc.quiet)
}

// quiet gives up memory.
func (sc *serving) quiet() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.free = nil
	sc.out.quiet()
}

// goAway tells the caller that the connection is to end, if it is to.
func (sc *serving) goAway() {
	if !sc.srv.limits.GoAway || !sc.c.Draining() {
		return
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.told {
		return
	}
	sc.told = true
	err := sc.out.queue(func(dst []byte) ([]byte, error) {
		return sc.srv.codec.Append(dst, &Message{Type: GoAway, ID: 0, Header: new(stream.Header)})
	})
	if err != nil {
		sc.srv.opts.Log.Debug("a caller cannot be told to go away", "listener", sc.srv.opts.Listener, "reason", fmt.Sprint(err))
		return
	}
	sc.out.kick()
}
