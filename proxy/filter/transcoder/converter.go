package transcoder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// dubboName is the protocol's name in configurations.
const dubboName = "dubbo"

// Converter is a way to turn the requests of one protocol into those of another,
// and the answers back.
type Converter struct {
	// Name is by which a configuration asks for it; Doc says in a few words what
	// it is for.
	Name, Doc string
	// From names the protocols of callers that it takes; those of others pass
	// the filter as they are.
	From []string
	// To names the protocols that hosts may speak. Where neither the route nor
	// the listener has chosen one of them, it is the first.
	To []string
	// New makes a conversion of its options, a tree of untyped values that
	// stands at path; nil is none. A mistake is an error of type
	// decode.Problems. New itself is nil where the core converts by itself, and
	// all that is to be done is to choose the protocol.
	New func(options any, path string) (Conversion, error)
}

// Conversion is a Converter with its options. It is safe for concurrent use.
type Conversion interface {
	// Request makes out, a copy of what the caller asks for, ask a host for the
	// same. body is the caller's, whole; what is returned is the host's, which
	// may have no more than limit bytes. An error is best a *Refusal.
	Request(out *stream.Request, body []byte, limit int) ([]byte, error)
	// Response makes out, which is empty, of what a host has answered to out of
	// Request. body is the host's, whole; what is returned is the caller's, which
	// may have no more than limit bytes. Of in, only strings may be kept.
	Response(asked *stream.Request, in *stream.Response, body []byte, out *stream.Response, limit int) ([]byte, error)
	// Refuse returns what tells the caller that its request, or the answer to
	// it, could not be converted; nil if its protocol has its own way.
	Refuse(r *Refusal) *stream.Response
}

// Refusal says why an exchange cannot be converted.
type Refusal struct {
	// Status is the HTTP status that stands for it: one of 400 to 499 for what
	// the caller did, 502 for what the host did.
	Status int
	// Text is told to the caller.
	Text string
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Text: fmt.Sprintf(format, args...)}
}

// err returns the refusal as an error of the core.
func (r *Refusal) err() *stream.Error {
	e := &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Op: "convert the request", Err: r}
	switch r.Status {
	case 404:
		e.Kind, e.Side = stream.NoRoute, stream.Local
	case 413:
		e.Kind = stream.TooLarge
	case 502:
		e.Side, e.Op = stream.Upstream, "convert the answer"
	}
	return e
}

// web are the protocols in which HTTP is spoken.
func web() []string { return []string{http1.Name, http2.Name} }

// Builtin returns the converters that ship. Of those that fit, a rule without a
// type takes the first.
func Builtin() []Converter {
	return []Converter{
		{
			Name: "http2bolt", Doc: "calls in JSON: HTTP to Bolt", From: web(), To: []string{bolt.Name, bolt.NameV2},
			New: newHTTPToBolt,
		},
		{
			Name: "bolt2http", Doc: "calls in JSON: Bolt to HTTP", From: []string{bolt.Name, bolt.NameV2}, To: web(),
			New: newBoltToHTTP,
		},
		{
			Name: "http2dubbo", Doc: "calls in JSON over HTTP, in Hessian 2 over Dubbo", From: web(), To: []string{dubboName},
			New: newHTTPToDubbo,
		},
		{
			Name: "dubbo2http", Doc: "calls in Hessian 2 over Dubbo, in JSON over HTTP", From: []string{dubboName}, To: web(),
			New: newDubboToHTTP,
		},
		{
			Name: "http2bolt_simple", Doc: "HTTP to Bolt; fields and body stay what they are", From: web(), To: []string{bolt.Name, bolt.NameV2},
			New: newHTTPToBoltSimple,
		},
		{
			Name: "bolt2http_simple", Doc: "Bolt to HTTP; fields and body stay what they are", From: []string{bolt.Name, bolt.NameV2}, To: web(),
			New: newBoltToHTTPSimple,
		},
		{Name: "httpTohttp2", Doc: "HTTP/1 to HTTP/2, which the core does by itself", From: []string{http1.Name}, To: []string{http2.Name}},
		{Name: "http2Tohttp", Doc: "HTTP/2 to HTTP/1, which the core does by itself", From: []string{http2.Name}, To: []string{http1.Name}},
	}
}

// table lists converters by name, in their order.
type table []Converter

// check says what is wrong with the table itself.
func (t table) check() error {
	seen := make(map[string]bool)
	for _, c := range t {
		if c.Name == "" || len(c.From) == 0 || len(c.To) == 0 || seen[c.Name] {
			return fmt.Errorf("transcoder: the converter %q is listed twice, or without protocols", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

func (t table) find(name string) (Converter, bool) {
	i := slices.IndexFunc(t, func(c Converter) bool { return c.Name == name })
	if i < 0 {
		return Converter{}, false
	}
	return t[i], true
}

// names returns all names, as a message has them.
func (t table) names() string {
	names := make([]string, len(t))
	for i, c := range t {
		names[i] = c.Name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// contains reports whether a protocol is in a list, without regard to case.
func contains(list []string, protocol string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return strings.EqualFold(p, protocol) })
}
