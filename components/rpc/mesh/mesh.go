package mesh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Type is the invoker's type name in configurations.
const Type = "mosn"

// DefaultTimeout bounds a call that sets no timeout of its own.
const DefaultTimeout = 3 * time.Second

// DefaultMaxResponse is the most bytes of an answer that a call returns.
const DefaultMaxResponse = 64 << 20

// Open opens a channel into the proxy. protocol is the proxy's name for it.
type Open func(listener, protocol string, size int) (handler stream.Handler, closeChannel func(), err error)

// Invoker is an rpc.Invoker over channels.
type Invoker struct {
	settings
	requests sync.Pool

	mu     sync.Mutex
	closed bool
}

// channel is one way into the core.
type channel struct {
	name     string
	protocol string // the core's name
	listener string
	size     int
	path     string // in the configuration
	wire     wire
	handler  stream.Handler
	close    func()
	targets  targets
}

// New makes an invoker from its settings, which may name the callbacks. If they
// are cfg.Checked, Check has warned of them.
func New(cfg components.Config, open Open, callbacks ...rpc.Callback) (*Invoker, error) {
	r := &reader{cfg: cfg, path: cfg.SettingsPath(), callbacks: callbacks, warns: !cfg.Checked}
	s, err := r.read()
	if err != nil {
		return nil, err
	}
	inv := &Invoker{settings: s}
	inv.requests.New = func() any { return new(stream.Request) }
	for i, ch := range s.channels {
		if ch.handler, ch.close, err = open(ch.listener, ch.protocol, ch.size); err != nil {
			inv.channels = s.channels[:i]
			_ = inv.Close()
			return nil, decode.Problems{{Path: ch.path, Message: err.Error()}}
		}
		ch.targets.open = func(address string) (stream.Handler, func(), error) { return open(address, ch.protocol, 0) }
	}
	return inv, nil
}

// Invoke implements rpc.Invoker. The time that callbacks take counts.
func (inv *Invoker) Invoke(ctx context.Context, r *rpc.Request) (*rpc.Response, error) {
	start := time.Now()
	return inv.callbacks.Invoke(ctx, r, func(ctx context.Context, r *rpc.Request) (*rpc.Response, error) {
		ch, err := inv.channel(r.Channel)
		if err != nil {
			return nil, err
		}
		return inv.call(ctx, ch, r, start)
	})
}

// channel returns the channel of that name, or the first.
func (inv *Invoker) channel(name string) (*channel, error) {
	if name == "" {
		return inv.channels[0], nil
	}
	var known []string
	for _, ch := range inv.channels {
		if ch.name == name {
			return ch, nil
		}
		known = append(known, ch.name)
	}
	return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: fmt.Sprintf("rpc_channel %.100q is none of this invoker's channels: %s", name, strings.Join(known, ", "))}
}

// call sends a call over a channel.
func (inv *Invoker) call(ctx context.Context, ch *channel, r *rpc.Request, start time.Time) (*rpc.Response, error) {
	if err := ch.wire.refuse(r); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ch.wire.failed(err)
	}
	handler := ch.handler
	if r.Target != "" {
		t, err := ch.targets.take(r.Target)
		if err != nil {
			return nil, err
		}
		defer ch.targets.giveBack(t)
		handler = t.handler
	}
	req := inv.requests.Get().(*stream.Request)
	defer inv.release(req)
	req.Protocol = Type
	req.Info.Start = start
	if len(inv.callbacks.Before) > 0 {
		req.Info.Start = time.Now() // what they took is not left: see limit
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	req.Limit(start.Add(timeout))
	if len(r.Data) > 0 {
		body := new(body)
		body.Reset(r.Data)
		req.Body, req.ContentLength = body, int64(len(r.Data))
	}
	ch.wire.fill(ctx, req, r)
	resp, err := handler.Handle(ctx, req)
	if err != nil {
		return nil, ch.wire.failed(err)
	}
	if r.OneWay {
		return &rpc.Response{}, resp.Close()
	}
	defer func() { _ = resp.Close() }()
	return inv.answer(ch, resp)
}

func (inv *Invoker) release(req *stream.Request) {
	req.Reset()
	inv.requests.Put(req)
}

// body is a request body that is at hand.
type body struct{ bytes.Reader }

// Close does nothing.
func (*body) Close() error { return nil }

// Ready implements stream.Ready.
func (*body) Ready() bool { return true }

// answer reads the service's answer.
func (inv *Invoker) answer(ch *channel, resp *stream.Response) (*rpc.Response, error) {
	out := &rpc.Response{Status: resp.Status, Header: make([]rpc.Pair, 0, resp.Header.Len())}
	for name, value := range resp.Header.All() {
		if stream.EqualName(name, "Content-Type") && out.ContentType == "" {
			out.ContentType = value
		}
		out.Header = append(out.Header, rpc.Pair{Name: name, Value: value})
	}
	var err error
	if out.Data, err = inv.read(resp); err != nil {
		if _, ok := rpc.AsError(err); !ok {
			err = ch.wire.failed(err)
		}
		return nil, err
	}
	if err := ch.wire.answer(resp, out); err != nil {
		return nil, err
	}
	return out, nil
}

func (inv *Invoker) read(resp *stream.Response) ([]byte, error) {
	switch {
	case resp.Body == nil || resp.ContentLength == 0:
		return nil, nil
	case resp.ContentLength > inv.maxResponse:
		return nil, inv.tooLarge()
	case resp.ContentLength > 0:
		data := make([]byte, resp.ContentLength)
		n, err := io.ReadFull(resp.Body, data)
		if errors.Is(err, io.EOF) && n == 0 {
			return nil, nil // an answer to HEAD
		}
		if err != nil {
			return nil, err
		}
		return data, drained(resp.Body)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, inv.maxResponse+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > inv.maxResponse {
		return nil, inv.tooLarge()
	}
	return data, nil
}

func (inv *Invoker) tooLarge() *rpc.Error {
	return &rpc.Error{Code: rpc.TooLarge, Msg: fmt.Sprintf("the answer is larger than max_response_bytes (%d)", inv.maxResponse)}
}

// drained reads the end of a body whose bytes have all come, so that its
// connection can be used again.
func drained(body io.Reader) error {
	var one [1]byte
	if _, err := body.Read(one[:]); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Close implements rpc.Invoker.
func (inv *Invoker) Close() error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.closed {
		return nil
	}
	inv.closed = true
	for _, ch := range inv.channels {
		ch.close()
		ch.targets.end()
	}
	return nil
}
