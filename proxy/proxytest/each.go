package proxytest

import (
	"io"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Protocol is a wire protocol with what the tests of all protocols must know
// of it. Both ends of a test, the caller and the host, are made of the
// protocol's own Client and Server, so that a test is written once, in terms of
// stream.Handler.
type Protocol struct {
	protocol.Protocol
	// Label names the protocol, or a use of it, in the names of tests.
	Label string
	// Streams: a body is passed on as it comes, not message by message.
	Streams bool
	// Farewell is what a caller's client says when it takes no more requests
	// because the other end announced the end of the connection.
	Farewell string
	// ask and answer add what a message of the protocol must have; nil is nothing.
	ask    func(*stream.Request)
	answer func(*stream.Response)
	// fails is what Says tells of an exchange that failed in the core.
	fails func(stream.Kind) string
}

// Protocols returns those that the core speaks. A new one is one entry.
func Protocols() []Protocol {
	const goAway = "the host takes no more requests on this connection"
	return []Protocol{
		{Label: "Http1", Protocol: http1.Protocol{}, Streams: true, Farewell: "the host ends the connection after this answer"},
		{Label: "Http2", Protocol: http2.Protocol{}, Streams: true, Farewell: goAway},
		{
			Label: "gRPC", Protocol: http2.Protocol{}, Streams: true, Farewell: goAway,
			ask: func(req *stream.Request) {
				req.Method = "POST"
				req.Header.Add("content-type", "application/grpc")
				req.Header.Add("te", "trailers")
			},
			answer: func(resp *stream.Response) {
				resp.Header.Add("content-type", "application/grpc")
				resp.Trailer.Add("grpc-status", "0")
			},
			fails: func(k stream.Kind) string {
				switch k {
				case stream.Timeout:
					return "grpc 4"
				case stream.Connect, stream.Reset, stream.NoHost, stream.Overload, stream.Stopping:
					return "grpc 14"
				}
				return "grpc 13"
			},
		},
	}
}

// EachProtocol runs test once for each protocol, in a synctest bubble: times
// are exact, and a goroutine that is left behind fails the test.
func EachProtocol(t *testing.T, test func(t *testing.T, p Protocol)) {
	t.Helper()
	for _, p := range Protocols() {
		t.Run(p.Label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, p) })
		})
	}
}

// Multiplexed reports whether a connection carries several exchanges at a time.
func (p Protocol) Multiplexed() bool {
	_, ok := p.Protocol.(protocol.Multiplexed)
	return ok
}

// Request returns a request of the protocol. body nil is none; length is -1
// when it is not said.
func (p Protocol) Request(path string, body io.Reader, length int64) *stream.Request {
	req := &stream.Request{Method: "POST", Scheme: "http", Authority: "pay", Path: path, ContentLength: length, Body: closer(body)}
	if body == nil {
		req.Method, req.ContentLength = "GET", 0
	}
	if p.ask != nil {
		p.ask(req)
	}
	return req
}

// Answer returns an answer of the protocol; see Request.
func (p Protocol) Answer(status int, body io.Reader, length int64) *stream.Response {
	resp := &stream.Response{Status: status, ContentLength: length, Body: closer(body)}
	if body == nil {
		resp.ContentLength = 0
	}
	if p.answer != nil {
		p.answer(resp)
	}
	return resp
}

func closer(r io.Reader) io.ReadCloser {
	if r == nil {
		return nil
	}
	if c, ok := r.(io.ReadCloser); ok {
		return c
	}
	return io.NopCloser(r)
}

// Says returns what the head of an answer tells the caller: the status, or,
// if it stands for a failed call, that of gRPC.
func (p Protocol) Says(resp *stream.Response) string {
	if code, ok := resp.Header.Lookup("grpc-status"); ok {
		return "grpc " + code
	}
	return strconv.Itoa(resp.Status)
}

// Fails returns what Says returns of an exchange that failed like that in the core.
func (p Protocol) Fails(kind stream.Kind) string {
	if p.fails != nil {
		return p.fails(kind)
	}
	return strconv.Itoa((&stream.Error{Kind: kind, Side: stream.Upstream}).Status())
}
