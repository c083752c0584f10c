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
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// op names what a client does, in errors.
const op = "frame exchange"

// lingerTime is how long what was queued may take to be written after Close.
const lingerTime = time.Second

var (
	errClosed    = errors.New("the connection was closed")
	errEnded     = errors.New("the host closed the connection")
	errForgotten = errors.New("the host leaves too many requests without an answer")
	errStuck     = errors.New("the host has stopped in the middle of an answer")
	errUnread    = errors.New("the caller does not take its answers, and others wait behind them")
)

// stall is how long no answer that is held may be taken by a caller before others
// are let past those of callers that take none. Callers may stop for a moment, but
// others have little time.
const stall = 2 * time.Second

// client sends requests over one connection, many at a time.
type client struct {
	codec  Codec
	limits Options
	opts   protocol.ClientOptions
	c      *conn.Conn
	in     reader
	beats  heartbeats

	mu  sync.Mutex
	out output
	// err is why the connection is over; last why it takes no more requests.
	err, last error
	lastID    uint64
	// asked holds the requests that wait for an answer. Those that were given
	// up are nil: their ids are in use until the host answers after all.
	asked  map[uint64]*ask
	flying int // those that are not nil
	free   []*ask
	// held counts the bytes of answers that are in use; changed is signalled
	// when it falls.
	held    int
	changed sync.Cond
	// stalled: what is held was not taken for too long. Then answers for callers
	// that take none are dropped, until it is half of what may be held.
	stalled bool
	// got counts frames that have come.
	got atomic.Int64
}

func newClient(codec Codec, limits Options, c *conn.Conn, opts protocol.ClientOptions) *client {
	limits.keep(opts.Keepalive)
	if opts.Single {
		limits.MaxInFlight = 1
	}
	cl := &client{codec: codec, limits: limits, opts: opts, c: c, asked: make(map[uint64]*ask)}
	cl.changed.L = &cl.mu
	cl.out.init(&cl.mu, c, func(err error) { cl.fail(err) })
	cl.in = reader{c: c, codec: codec, limits: &cl.limits, host: true, rest: cl.rest}
	cl.beats.start(cl)
	go cl.run()
	return cl
}

// maxFlying is how many requests the connection carries at a time.
func (cl *client) maxFlying() int {
	return int(min(uint64(cl.limits.MaxInFlight), cl.codec.MaxID()))
}

// Limit implements protocol.Limiter.
func (cl *client) Limit() int {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.finished() != nil {
		return 0
	}
	return cl.maxFlying()
}

// Err implements protocol.Client.
func (cl *client) Err() error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.finished()
}

// finished returns why no more requests are taken. The mutex is held.
func (cl *client) finished() error {
	switch {
	case cl.err != nil:
		return cl.err
	case cl.last != nil:
		return cl.last
	case cl.c.PeerDraining():
		return protocol.ErrGoAway
	}
	return nil
}

// Stale implements protocol.Client. The reader sees the end by itself.
func (cl *client) Stale() bool { return cl.Err() != nil || cl.c.Closed() }

// Close implements protocol.Client. What was queued, one-way requests above
// all, is written before if the host takes it.
func (cl *client) Close() error {
	cl.end(errClosed)
	cl.mu.Lock()
	if cl.out.writing && !cl.out.broken {
		cl.out.closing = cl.c.Close
		cl.mu.Unlock()
		return cl.c.SetWriteDeadline(time.Now().Add(lingerTime))
	}
	cl.mu.Unlock()
	return cl.c.Close()
}

// fail ends the connection at once.
func (cl *client) fail(err error) {
	cl.end(err)
	cl.mu.Lock()
	cl.out.end()
	cl.mu.Unlock()
	_ = cl.c.Close()
}

// end fails all requests; the first reason counts.
func (cl *client) end(err error) {
	cl.beats.stop()
	cl.blame(err)
	cl.mu.Lock()
	if cl.err != nil {
		cl.mu.Unlock()
		return
	}
	told := errors.Is(cl.last, protocol.ErrGoAway) // of the other reasons nobody was
	cl.err = err
	for id, k := range cl.asked {
		delete(cl.asked, id)
		if k != nil {
			cl.flying--
			k.fail(err, k.at >= cl.out.taken)
		}
	}
	cl.changed.Broadcast()
	cl.mu.Unlock()
	if !told && !errors.Is(err, errClosed) {
		cl.tell(err)
	}
}

// blame notes why the connection ends, where only the client knows.
func (cl *client) blame(err error) {
	e, own := errors.AsType[*stream.Error](err)
	switch {
	case errors.Is(err, protocol.ErrGoAway):
		cl.c.SetCause(conn.Drained)
	case errors.Is(err, errForgotten), errors.Is(err, errStuck), errors.As(err, new(errSilent)), own && e.Kind == stream.Timeout:
		cl.c.SetCause(conn.Timeout)
	case own:
		cl.c.SetCause(conn.ProtocolError)
	}
}

// tell tells the owner that no more requests are taken.
func (cl *client) tell(err error) {
	if cl.opts.Ended != nil {
		cl.opts.Ended(err)
	}
}

// run reads answers until the connection ends.
func (cl *client) run() {
	err := cl.read()
	if errors.Is(err, io.EOF) {
		err = errEnded
	}
	cl.fail(err)
	cl.in.drop()
	cl.out.wait()
	cl.c.Free()
}

func (cl *client) read() error {
	var m Message
	for {
		if err := cl.in.next(&m); err != nil {
			return err
		}
		cl.got.Add(1)
		switch m.Type {
		case Response:
			cl.answered(&m)
			continue
		case HeartbeatReply: // that something has come is all that counts
		case Heartbeat:
			cl.reply(&m, nil)
		case GoAway:
			cl.goAway()
		case Request:
			cl.reply(&m, &stream.Error{Kind: stream.NoRoute, Op: "a request from a host"})
		case OneWay:
		}
		m.from.release()
	}
}

// rest waits until the host sends something.
func (cl *client) rest() error {
	for {
		switch err := cl.c.WaitQuiet(0, cl.quiet); {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, conn.ErrDraining):
			return protocol.ErrGoAway
		default:
			return err
		}
	}
}

// quiet gives memory up.
func (cl *client) quiet() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.free = nil
	cl.out.quiet()
}

// reply answers what the host has asked, unless it does not take the answers.
func (cl *client) reply(m *Message, e *stream.Error) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if len(cl.out.buf) > maxControl {
		return
	}
	if _, err := appendReply(&cl.out, cl.codec, m, e); err == nil {
		cl.out.kick()
	}
}

// goAway takes the host's wish to get no more requests.
func (cl *client) goAway() {
	cl.mu.Lock()
	first := cl.last == nil && cl.err == nil
	if first {
		cl.last = protocol.ErrGoAway
	}
	cl.mu.Unlock()
	if first {
		cl.blame(protocol.ErrGoAway)
		cl.tell(protocol.ErrGoAway)
	}
}

// answered gives an answer to who waits for it.
func (cl *client) answered(m *Message) {
	size := len(m.Frame)
	var watch *stallWatch // while it waits for room
	cl.mu.Lock()
	defer cl.mu.Unlock()
	defer func() { watch.stop() }()
	for {
		k := cl.asked[m.ID]
		if k == nil {
			delete(cl.asked, m.ID) // late, or never asked for
			m.from.release()
			return
		}
		cl.stalled = cl.stalled && (cl.held > cl.limits.MaxHeld/2 || cl.held+size > cl.limits.MaxHeld)
		if cl.stalled && k.blocked() && cl.others(k) {
			delete(cl.asked, m.ID)
			cl.flying--
			m.from.release()
			k.fail(&stream.Error{Kind: stream.Overload, Err: errUnread}, false)
			return
		}
		most := cl.limits.MaxHeld
		if cl.stalled && k.caller != nil && !k.blocked() {
			most *= 2 // its caller takes what it gets
		}
		if cl.held == 0 || cl.held+size <= most || cl.err != nil {
			delete(cl.asked, m.ID)
			cl.flying--
			cl.held += size
			m.read, k.m.read = k.m.read, m.read
			k.m, *m = *m, Message{read: m.read}
			k.size = size
			k.done <- struct{}{}
			return
		}
		if watch == nil {
			watch = cl.watchStall()
		}
		cl.changed.Wait()
	}
}

// stallWatch notices that nothing of what is held is taken, and has it looked again
// who takes nothing. The client's mutex guards it.
type stallWatch struct {
	cl    *client
	timer *time.Timer
	held  int // when it last looked
	over  bool
}

// watchStall begins to watch. The mutex is held.
func (cl *client) watchStall() *stallWatch {
	w := &stallWatch{cl: cl, held: cl.held}
	w.timer = time.AfterFunc(stall, w.look)
	return w
}

func (w *stallWatch) look() {
	w.cl.mu.Lock()
	defer w.cl.mu.Unlock()
	if w.over {
		return
	}
	w.cl.stalled = w.cl.stalled || w.cl.held >= w.held
	w.held = w.cl.held
	w.cl.changed.Broadcast()
	w.timer.Reset(stall)
}

// stop ends the watch; there may be none. The mutex is held.
func (w *stallWatch) stop() {
	if w != nil {
		w.over = true
		w.timer.Stop()
	}
}

// others reports whether somebody waits for an answer beside the caller of k, and
// takes those that he gets. The mutex is held.
func (cl *client) others(k *ask) bool {
	for _, o := range cl.asked {
		if o != nil && o.caller != k.caller && !o.blocked() {
			return true
		}
	}
	return false
}

// newID returns an id that is not in use, 0 if there is none. The mutex is held.
func (cl *client) newID() uint64 {
	most := cl.codec.MaxID()
	for range len(cl.asked) + 1 {
		if cl.lastID++; cl.lastID > most || cl.lastID == 0 {
			cl.lastID = 1
		}
		if _, used := cl.asked[cl.lastID]; !used {
			return cl.lastID
		}
	}
	return 0
}

// Handle implements stream.Handler.
func (cl *client) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	k := cl.take()
	k.ctx, k.deadline, k.caller = ctx, req.Deadline, req.Caller
	if at, ok := ctx.Deadline(); ok && (k.deadline.IsZero() || at.Before(k.deadline)) {
		k.deadline = at
	}
	resp, err := k.exchange(req)
	if err != nil || resp == stream.NoResponse {
		k.over()
	}
	return resp, err
}

// take returns an ask to use.
func (cl *client) take() *ask {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if n := len(cl.free); n > 0 {
		k := cl.free[n-1]
		cl.free[n-1], cl.free = nil, cl.free[:n-1]
		return k
	}
	k := &ask{cl: cl, done: make(chan struct{}, 1), out: outgoing{codec: cl.codec, limit: cl.limits.MaxFrame}}
	k.body.k = k
	return k
}

// admit says why a request cannot be sent now; nil if it can. The mutex is held.
func (cl *client) admit() error {
	if err := cl.finished(); err != nil {
		return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: true, Op: op, Err: err}
	}
	if cl.flying >= cl.maxFlying() {
		return &stream.Error{
			Kind: stream.Overload, Side: stream.Upstream, Retry: true, Op: op,
			Err: fmt.Errorf("%d requests are in flight on this connection", cl.flying),
		}
	}
	return nil
}
