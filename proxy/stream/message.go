package stream

import (
	"context"
	"io"
	"time"
)

// Request is one request on its way through the core.
//
// It belongs to the protocol server that read it. A handler may change it
// before it calls the next one; nobody may keep it, or anything it points to
// except strings, after Handle has returned and both bodies are closed.
type Request struct {
	// Protocol is the name of the wire protocol the request came in by, "http1" for example.
	Protocol string
	// Method is the request's verb; for RPC protocols, the method called.
	Method string
	// Scheme is "http" or "https": how the request reached us.
	Scheme string
	// Authority is the host the caller asked for, with port if it gave one.
	Authority string
	// Path is the path as sent: percent-encoded, without query. It starts
	// with "/" except for OPTIONS ("*").
	Path string
	// Query is what followed the "?", as sent; HasQuery tells "/a?" from "/a".
	Query    string
	HasQuery bool
	// Header holds the end-to-end fields. Framing and hop-by-hop fields (RFC
	// 9110 section 7.6.1) and Host are taken out by the protocol server and
	// written anew by the protocol client.
	Header Header
	// ContentLength is the length of Body in bytes; -1 when it is not known.
	ContentLength int64
	// Body is nil when the request has none. Reading is not safe for
	// concurrent use; Close may be called while a Read is blocked.
	Body io.ReadCloser
	// Trailer is filled, if at all, once Body has returned io.EOF.
	Trailer Header
	// OneWay requests get no answer: Handle returns NoResponse.
	OneWay bool
	// Upgrade names the protocols that the caller offers to go on with in place
	// of this one (RFC 9110 section 7.8), "websocket" for example; "" is none.
	// It is an offer: any answer but a 101 is that to an ordinary request. Such
	// a request has no Body.
	Upgrade string
	// Tunnel is what the caller sends after a 101, as it comes; nil where there
	// is no Upgrade. It is not a Body, so that until a 101 the request is one
	// without, to be sent again or over a protocol that knows no Upgrade.
	//
	// Who answers 101 reads it, once Response.Body is read, up to an error, and
	// closes it when all of it was passed on or cannot be: the exchange ends
	// when Response.Body has ended and Tunnel is closed. io.EOF is the end of
	// the caller's direction only. A Read before the caller has the 101 waits.
	// Deadline does not hold after a 101; ctx does.
	Tunnel io.ReadCloser
	// Target is the address ("host:port") the caller wants, for clusters that
	// pass requests through to it; "" lets the cluster choose.
	Target string
	// Timeout is the caller's own limit for the whole exchange; 0 is none.
	Timeout time.Duration
	// Deadline is when the exchange must be over, bodies included; zero is
	// never. Every layer that waits obeys the earlier of it and ctx's. It is a
	// field because a context with a timer costs several allocations a request.
	// A handler sets it before it calls the next one, not while that one works.
	Deadline time.Time
	// UpstreamProtocol is the wire protocol to speak with the host that is chosen.
	UpstreamProtocol string
	// Policy is that of the route; nil before one is chosen.
	Policy *Policy
	// TryTimeout is the most time for one attempt; 0 is none but Deadline.
	TryTimeout time.Duration
	// Hash is what balancers that go by a hash choose the host by, if Hashed.
	Hash   uint64
	Hashed bool
	// Labels narrow the hosts down to those that have all of them. They are
	// sorted by key, each key once, and must not be changed in place.
	Labels []Label
	// Tried holds the addresses of the hosts that earlier attempts went to: none
	// of them is taken again while another is healthy. The cluster adds to it.
	Tried []string
	// PerHost wraps the handler of each attempt, once its host is chosen; nil is none.
	PerHost Filter
	// Vars are values that filters have noted.
	Vars Vars
	// Info collects the facts that the one record of this request tells.
	Info Info
	// Caller is the connection that the request came by, for what is bound to
	// it; nil where protocol or purpose (a copy, a filter's own request) has none.
	Caller Caller
	// Native may hold the decoded frame of the downstream protocol, so that a
	// client of the same protocol can forward it without translation.
	Native any
}

// Refusal is an optional ability of Response.Native.
type Refusal interface {
	// RefusesCall reports whether the answer blames the call, as one to a service
	// that does not exist, where the answer's status is one from 500 on all the
	// same: then it says nothing about how the host is.
	RefusesCall() bool
}

// Coder is an optional ability of Request.Native, and the mark of an RPC request:
// its protocol has statuses of its own.
type Coder interface {
	// FailureCode returns the one that tells the caller of e, as text.
	FailureCode(e *Error) string
}

// Caller is a caller's connection. Its methods are safe for concurrent use, and
// it is comparable.
type Caller interface {
	// Number tells the connections of a listener apart.
	Number() uint64
	// Life ends when the connection does.
	Life() context.Context
	// HangUp ends the connection as soon as what was asked on it is answered. It
	// does not wait, and is safe twice.
	HangUp()
}

// Reset empties the request for the next use, keeping its memory.
func (r *Request) Reset() {
	r.Header.Reset()
	r.Trailer.Reset()
	r.Vars.Reset()
	clear(r.Tried)
	*r = Request{
		Header:  r.Header,
		Trailer: r.Trailer,
		Tried:   r.Tried[:0],
		Vars:    r.Vars,
	}
}

// Replayable reports whether the request can be sent a second time: it has no body.
func (r *Request) Replayable() bool { return r.Body == nil }

// Idempotent reports whether sending the request twice has the effect of
// sending it once (RFC 9110 section 9.2.2). That is known of HTTP's methods
// only: a request without a Path calls a method of some service, whatever its
// name is.
func (r *Request) Idempotent() bool {
	if r.Path == "" {
		return false
	}
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Limit moves Deadline forward to at, if at is earlier.
func (r *Request) Limit(at time.Time) {
	if r.Deadline.IsZero() || at.Before(r.Deadline) {
		r.Deadline = at
	}
}

// Ready is an optional ability of a body: Ready reports that everything up to
// its end can be read without waiting for the peer.
type Ready interface{ Ready() bool }

// BodyReady reports whether body can be read to its end without waiting.
func BodyReady(body io.Reader) bool {
	r, ok := body.(Ready)
	return ok && r.Ready()
}

// Buffered is an optional ability of a body: Buffered reports that the next
// Read returns without waiting for the peer. A body that wraps another passes
// it on, or what it wraps is sent in more pieces than necessary.
type Buffered interface{ Buffered() bool }

// BodyBuffered reports whether the next Read of body returns at once.
func BodyBuffered(body io.Reader) bool {
	b, ok := body.(Buffered)
	return ok && b.Buffered() || BodyReady(body)
}

// Response is the answer to a Request. The caller of Handle owns it and must
// call Close exactly once when it is done with it, body or no body. After that
// it may be in use for another exchange: nobody may keep it.
type Response struct {
	// Status is the HTTP status code. Other protocols map theirs onto it. 101
	// is the answer to a Request with Upgrade only: the protocol is another
	// from here on, and Body is what the host sends in it, as it comes.
	Status int
	// Upgrade names the protocol that a 101 changes to; with 426, those that
	// the host asks for. Else it is "".
	Upgrade string
	// Header holds the end-to-end fields; see Request.Header.
	Header Header
	// ContentLength is the length of Body in bytes; -1 when it is not known.
	// For an answer to HEAD, and for 304, it is the length that the body
	// would have had, while Body is empty; -1 then means that it was not said.
	ContentLength int64
	// Body may be nil when the answer has none. Closing it early cancels the
	// exchange. Reading is not safe for concurrent use; Close may be called
	// while a Read is blocked.
	Body io.ReadCloser
	// Trailer is filled, if at all, once Body has returned io.EOF.
	Trailer Header
	// Native may hold the decoded frame of the upstream protocol.
	Native any
}

// Reset empties the response for the next use, keeping its memory.
func (r *Response) Reset() {
	r.Header.Reset()
	r.Trailer.Reset()
	*r = Response{Header: r.Header, Trailer: r.Trailer}
}

// Close ends the exchange: it closes the body if there is one.
func (r *Response) Close() error {
	if r == nil || r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// NoResponse is what Handle returns for a one-way request.
var NoResponse = &Response{}

// Info is what is known about one request: layers fill in what they decide,
// the telemetry layer writes it out once, when the exchange is over.
type Info struct {
	// ID is the caller's request id, if it sent one, else "".
	ID string
	// Start is when the first byte of the request had been read.
	Start time.Time
	// Downstream is the caller's address; Listener the listener's name.
	Downstream string
	Listener   string
	// VirtualHost, Route, Cluster and Host are the decisions taken; "" where none was.
	VirtualHost string
	Route       string
	Cluster     string
	Host        string
	// Attempts counts how often a host was chosen for the request.
	Attempts int
	// Path is the path as the caller sent it, if a route has changed it; else "".
	Path string
	// Connected is the time spent waiting for an upstream connection.
	Connected time.Duration
	// Code is the status of the answer in the protocol's own terms, as the
	// caller was told it; "" where the protocol has none but HTTP's.
	Code string
	// FirstByte is the time from Start until the response head was known.
	FirstByte time.Duration
	// BytesIn and BytesOut count body bytes read from and written to the caller.
	BytesIn  int64
	BytesOut int64
}
