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

// Config is the invoker's `config` section.
type Config struct {
	Channels     []Channel  `json:"channel" doc:"Ways into the proxy; the first is used."`
	BeforeInvoke []Callback `json:"before_invoke" doc:"What is done with a call before it is sent, in order."`
	AfterInvoke  []Callback `json:"after_invoke" doc:"What is done with an answer, in order."`
	MaxResponse  int64      `json:"max_response_bytes" min:"1" doc:"Most bytes of an answer. Default 64 MiB."`
}

// Channel is one way into the proxy.
type Channel struct {
	Protocol string         `json:"protocol" doc:"Protocol spoken with the listener: http."`
	Listener string         `json:"listener" doc:"Name of the listener that calls enter by, or host:port."`
	Size     int            `json:"size" min:"0" doc:"Most calls at a time; further ones wait. 0: no limit."`
	Ext      map[string]any `json:"ext" doc:"Options of the protocol."`
}

// Callback names a callback and carries its configuration.
type Callback struct {
	Name   string         `json:"name" doc:"Name of a built-in callback: dubbo_json_rpc."`
	Config map[string]any `json:"config" doc:"The callback's own configuration."`
}

// Open opens a channel into the proxy. protocol is the proxy's name for it.
type Open func(listener, protocol string, size int) (handler stream.Handler, closeChannel func(), err error)

// Invoker is an rpc.Invoker over one channel.
type Invoker struct {
	channel     stream.Handler
	close       func()
	before      []before
	maxResponse int64
	requests    sync.Pool

	mu     sync.Mutex
	closed bool
}

// before changes a call before it is sent.
type before func(*rpc.Request)

// protocols are the channel protocols that are built, with the core's names.
var protocols = map[string]string{"http": "Http1"}

// callbacks are the built-in before_invoke callbacks.
var callbacks = map[string]before{"dubbo_json_rpc": dubboJSONRPC}

// Defaults returns the settings that hold where none are given.
func Defaults() Config { return Config{MaxResponse: DefaultMaxResponse} }

// New makes an invoker from its settings.
func New(cfg components.Config, open Open) (*Invoker, error) {
	c, path := Defaults(), cfg.SettingsPath()
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if err := check(&c, path); err != nil {
		return nil, err
	}
	if len(c.Channels) > 1 && cfg.Warn != nil {
		cfg.Warn(decode.Problem{Path: decode.At(path+".channel", 1), Message: "only the first channel is used"})
	}
	var err error
	inv := &Invoker{maxResponse: c.MaxResponse}
	inv.requests.New = func() any { return new(stream.Request) }
	for _, b := range c.BeforeInvoke {
		inv.before = append(inv.before, callbacks[b.Name])
	}
	ch := c.Channels[0]
	if inv.channel, inv.close, err = open(ch.Listener, protocols[ch.Protocol], ch.Size); err != nil {
		return nil, decode.Problems{{Path: decode.At(path+".channel", 0), Message: err.Error()}}
	}
	return inv, nil
}

// check finds what is wrong with a decoded section.
func check(c *Config, path string) error {
	var ps decode.Problems
	if len(c.Channels) == 0 {
		ps = append(ps, decode.Problem{Path: path + ".channel", Message: "missing channel config", Remedy: `for example [{"protocol": "http", "listener": "egress_runtime_http"}]`})
	}
	for i, ch := range c.Channels {
		if protocols[ch.Protocol] == "" {
			ps = append(ps, decode.Problem{
				Path:    decode.At(path+".channel", i) + ".protocol",
				Message: fmt.Sprintf("channel protocol %q not found", ch.Protocol), Remedy: "known: http",
			})
		}
		if ch.Listener == "" {
			ps = append(ps, decode.Problem{Path: decode.At(path+".channel", i) + ".listener", Message: "missing", Remedy: "the name of a listener, or host:port"})
		}
	}
	for i, b := range c.BeforeInvoke {
		if callbacks[b.Name] == nil {
			ps = append(ps, decode.Problem{
				Path:    decode.At(path+".before_invoke", i) + ".name",
				Message: fmt.Sprintf("unknown callback %q", b.Name), Remedy: "known: dubbo_json_rpc",
			})
		}
	}
	for i, a := range c.AfterInvoke {
		ps = append(ps, decode.Problem{Path: decode.At(path+".after_invoke", i) + ".name", Message: fmt.Sprintf("unknown callback %q", a.Name), Remedy: "none is built in"})
	}
	return ps.Err()
}

// dubboJSONRPC addresses a Dubbo service that speaks JSON-RPC over HTTP.
func dubboJSONRPC(r *rpc.Request) {
	r.Header = append(r.Header, rpc.Pair{Name: "x-services", Value: r.ID}, rpc.Pair{Name: "x-method", Value: r.Method},
		rpc.Pair{Name: "accept", Value: "application/json"})
	r.ContentType = "application/json"
	r.Method = r.ID
}

// Invoke implements rpc.Invoker: method is the path, with or without "?query",
// and the field "id" carries the service's id for routes to match.
func (inv *Invoker) Invoke(ctx context.Context, r *rpc.Request) (*rpc.Response, error) {
	if r.OneWay {
		return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: "one-way calls need a protocol that has them; http has not"}
	}
	if r.Target != "" {
		return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: "rpc_target_address is not served over http; address the service by a route"}
	}
	if len(inv.before) > 0 {
		changed := *r
		changed.Header = append([]rpc.Pair(nil), r.Header...)
		for _, b := range inv.before {
			b(&changed)
		}
		r = &changed
	}
	req := inv.requests.Get().(*stream.Request)
	defer inv.release(req)
	fill(req, r)
	resp, err := inv.channel.Handle(ctx, req)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = resp.Close() }()
	return inv.answer(resp)
}

func (inv *Invoker) release(req *stream.Request) {
	req.Reset()
	inv.requests.Put(req)
}

// fill makes the stream request of a call.
func fill(req *stream.Request, r *rpc.Request) {
	req.Protocol = Type
	req.Method = r.Verb
	if req.Method == "" {
		req.Method = "GET" // as Layotto has it, also with a body
	}
	req.Scheme, req.Authority = "http", "localhost"
	req.Path, req.Query, req.HasQuery = strings.Cut(r.Method, "?")
	if !strings.HasPrefix(req.Path, "/") && req.Path != "*" {
		req.Path = "/" + req.Path
	}
	if query := strings.TrimPrefix(r.Query, "?"); query != "" {
		if req.Query != "" {
			query = req.Query + "&" + query
		}
		req.Query, req.HasQuery = query, true
	}
	req.Header.Add("id", r.ID)
	for _, p := range r.Header {
		if stream.EqualName(p.Name, "content-type") && r.ContentType != "" || stream.EqualName(p.Name, "id") {
			continue
		}
		req.Header.Add(p.Name, p.Value)
	}
	if r.ContentType != "" {
		req.Header.Add("Content-Type", r.ContentType)
	}
	if len(r.Data) > 0 {
		body := new(body)
		body.Reset(r.Data)
		req.Body, req.ContentLength = body, int64(len(r.Data))
	}
	req.Info.Start = time.Now()
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	req.Limit(req.Info.Start.Add(timeout))
}

// body is a request body that is at hand.
type body struct{ bytes.Reader }

// Close does nothing.
func (*body) Close() error { return nil }

// Ready implements stream.Ready.
func (*body) Ready() bool { return true }

// answer reads the service's answer.
func (inv *Invoker) answer(resp *stream.Response) (*rpc.Response, error) {
	out := &rpc.Response{Status: resp.Status, Header: make([]rpc.Pair, 0, resp.Header.Len())}
	for name, value := range resp.Header.All() {
		if stream.EqualName(name, "Content-Type") && out.ContentType == "" {
			out.ContentType = value
		}
		out.Header = append(out.Header, rpc.Pair{Name: name, Value: value})
	}
	var err error
	if out.Data, err = inv.read(resp); err != nil {
		return nil, err
	}
	if kind, ok := stream.ParseProxyStatus(resp.Header.Get(stream.ProxyStatus)); ok {
		return nil, &rpc.Error{Code: code(kind), Msg: strings.TrimSpace(string(out.Data))}
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, &rpc.Error{Code: rpc.Status, Response: out, Msg: fmt.Sprintf("http response code %d", resp.Status)}
	}
	return out, nil
}

func (inv *Invoker) read(resp *stream.Response) ([]byte, error) {
	tooLarge := &rpc.Error{Code: rpc.TooLarge, Msg: fmt.Sprintf("the answer is larger than max_response_bytes (%d)", inv.maxResponse)}
	switch {
	case resp.Body == nil || resp.ContentLength == 0:
		return nil, nil
	case resp.ContentLength > inv.maxResponse:
		return nil, tooLarge
	case resp.ContentLength > 0:
		data := make([]byte, resp.ContentLength)
		n, err := io.ReadFull(resp.Body, data)
		if errors.Is(err, io.EOF) && n == 0 {
			return nil, nil // an answer to HEAD
		}
		if err != nil {
			return nil, translate(err)
		}
		return data, drained(resp.Body)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, inv.maxResponse+1))
	if err != nil {
		return nil, translate(err)
	}
	if int64(len(data)) > inv.maxResponse {
		return nil, tooLarge
	}
	return data, nil
}

// drained reads the end of a body whose bytes have all come, so that its
// connection can be used again.
func drained(body io.Reader) error {
	var one [1]byte
	if _, err := body.Read(one[:]); err != nil && !errors.Is(err, io.EOF) {
		return translate(err)
	}
	return nil
}

// translate turns an error of the core into one of a call.
func translate(err error) error {
	e := stream.AsError(err)
	return &rpc.Error{Code: code(e.Kind), Msg: "rpc call failed", Err: err}
}

func code(kind stream.Kind) rpc.Code {
	switch kind {
	case stream.Timeout:
		return rpc.Timeout
	case stream.Canceled:
		return rpc.Canceled
	case stream.Internal:
		return rpc.Internal
	case stream.TooLarge:
		return rpc.TooLarge
	}
	return rpc.Unavailable
}

// Close implements rpc.Invoker.
func (inv *Invoker) Close() error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if !inv.closed {
		inv.closed = true
		inv.close()
	}
	return nil
}
