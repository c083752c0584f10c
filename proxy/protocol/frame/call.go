package frame

import (
	"errors"
	"runtime/debug"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// call is one request of a caller.
type call struct {
	sc   *serving
	m    Message
	req  stream.Request
	body callBody
	size int // of the frame
	out  outgoing
	turn turn
	// answered: the answer is queued.
	answered bool
}

// callBody is a request's body.
type callBody struct{ payload }

// Close implements io.Closer. What is held is held until the answer.
func (*callBody) Close() error { return nil }

// Serve implements crew.Work: it answers the request.
func (k *call) Serve() {
	sc := k.sc
	defer sc.calls.Done()
	spoiled, write := true, false
	defer func() {
		if spoiled {
			k.panicked(recover(), write)
		}
	}()
	resp, err := k.handle()
	write = k.answer(resp, err)
	_ = resp.Close()
	spoiled = false
	k.over(true)
	if write {
		// Nobody waits for this goroutine, so it is the writer.
		sc.out.flush()
	}
}

// handle asks the handler.
func (k *call) handle() (*stream.Response, error) {
	req, m := &k.req, &k.m
	req.Native = m
	if err := m.fields(&req.Header); err != nil {
		e := &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: "read request", Err: err}
		if r, ok := k.sc.h.(stream.Rejecter); ok {
			r.Reject(k.sc.life, req, e.Status(), e)
		}
		return nil, e
	}
	req.Method = m.Method
	req.Timeout = m.Timeout
	req.OneWay = m.Type == OneWay
	if p := m.Payload(); len(p) > 0 {
		k.body.left = p
		req.Body, req.ContentLength, req.Info.BytesIn = &k.body, int64(len(p)), int64(len(p))
	}
	life := k.sc.life
	if req.OneWay {
		life = k.sc.lasting
	}
	return k.sc.h.Handle(life, req)
}

// answer queues the answer and reports whether the caller has to flush.
func (k *call) answer(resp *stream.Response, err error) (write bool) {
	if k.m.Type == OneWay {
		return false
	}
	if err == nil {
		if resp == stream.NoResponse {
			resp = &stream.Response{Status: 202}
		}
		if err = k.out.response(resp, &k.m); err != nil {
			err = k.explain(err)
		}
	}
	sc := k.sc
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for sc.out.full() && !sc.out.broken {
		sc.out.await(&k.turn)
		if sc.blocked.Add(1) == 1 {
			sc.out.moves()
		}
		sc.mu.Unlock()
		<-k.turn.ready
		sc.blocked.Add(-1)
		sc.mu.Lock()
	}
	if sc.out.broken {
		return false
	}
	if err == nil {
		err = sc.out.queue(k.append)
		if err == nil {
			k.answered = true
			k.req.Info.BytesOut = max(resp.ContentLength, int64(len(k.out.m.Body)))
			return sc.out.start()
		}
		err = k.explain(err)
	}
	if _, err := appendReply(&sc.out, sc.srv.codec, &k.m, stream.AsError(err)); err != nil {
		sc.srv.opts.Log.Warn("an error cannot be told to the caller", "listener", sc.srv.opts.Listener, "peer", sc.peer, "reason", err)
		return false
	}
	return sc.out.start()
}

// append appends the answer to dst, and notes its status.
func (k *call) append(dst []byte) ([]byte, error) {
	b, err := k.out.append(dst, k.m.ID)
	if err != nil {
		return b, err
	}
	if k.req.Info.Code = k.out.code; k.out.code == "" {
		k.req.Info.Code = codeOf(k.out.codec, b[len(dst):])
	}
	return b, nil
}

// explain says that an answer could not be made a frame.
func (k *call) explain(err error) error {
	if _, ok := errors.AsType[*stream.Error](err); ok {
		return err
	}
	return &stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: "write answer", Err: err}
}

// panicked takes the end of a handler that has none. write: it has answered, and
// a writer is needed.
func (k *call) panicked(p any, write bool) {
	sc := k.sc
	sc.srv.opts.Log.Error("panic while answering a request", "listener", sc.srv.opts.Listener, "peer", sc.peer,
		"panic", p, "stack", string(debug.Stack()))
	if k.m.Type == Request && !k.answered {
		sc.mu.Lock()
		if _, err := appendReply(&sc.out, sc.srv.codec, &k.m, &stream.Error{Kind: stream.Internal}); err == nil {
			write = sc.out.start()
		}
		sc.mu.Unlock()
	}
	if p == nil { // runtime.Goexit: this goroutine ends
		sc.c.SetCause(conn.Panic)
		_ = sc.c.Close()
	}
	k.over(false) // who knows what still uses the call
	if write {
		sc.out.flush()
	}
}

// over ends the use of the call; again says that it may be used for another.
func (k *call) over(again bool) {
	sc := k.sc
	if again {
		k.m.from.release()
		k.out.over()
		k.req.Reset()
		k.body, k.answered = callBody{}, false
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.done(k)
	if again {
		k.m.reset()
		sc.keep(k)
	}
}
