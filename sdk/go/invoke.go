package ottavo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Request is one call of a service.
type Request struct {
	// Method is what to call: over HTTP the path, which may end in "?query".
	Method string
	// Verb is the HTTP method in capitals. "" is GET, also with Data.
	Verb string
	// Query is the query without "?", as url.Values.Encode makes it; joined to one
	// in Method with "&".
	Query string
	// Header goes along. Names are not case sensitive; they and the values must be
	// printable ASCII. The content type has its own field, and what belongs to a
	// connection (Host, User-Agent, Content-Length, …) is not passed on.
	Header http.Header
	// ContentType describes Data; "" says nothing to the service.
	ContentType string
	// Data is the body; it is not changed.
	Data []byte
	// Timeout bounds the call in the runtime, in milliseconds (rounded up). 0 is
	// the runtime's default, 3 s. A shorter deadline of the context wins.
	Timeout time.Duration
	// OneWay is a call that the service does not answer: Invoke returns an empty
	// Response once the call is on its way, and what becomes of it is not known. Not
	// over HTTP.
	OneWay bool
	// Target is the "host:port" to call, whatever the runtime's routes say. Not over
	// HTTP. "" leaves it to the routes.
	Target string
	// Invoker and Channel name, of those that the runtime is configured with, the
	// invoker and its channel, and with it the protocol. "" is the invoker "mosn" and
	// its first channel.
	Invoker, Channel string
}

// Response is a service's answer with a status of 2xx. It belongs to the caller.
type Response struct {
	Data        []byte
	ContentType string
	// Header holds the answer's header, and fields of the runtime's own. What
	// gRPC cannot carry is left out; "Ottavo-Headers-Dropped" counts it.
	Header http.Header
}

// Invoke calls a service by its id, through the runtime's proxy, and returns its
// answer; with OneWay there is none. Over HTTP, an answer with another status than 2xx is an *Error with HTTPStatus.
// req may be used again afterwards.
func (c *Client) Invoke(ctx context.Context, service string, req *Request) (*Response, error) {
	verb, known := runtimev1.HTTPExtension_Verb_value[req.Verb]
	if req.Verb != "" && !known {
		return nil, fmt.Errorf("ottavo: verb %q: the API knows GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE and PATCH", req.Verb)
	}
	ctx, err := outgoing(ctx, req)
	if err != nil {
		return nil, err
	}
	message := &runtimev1.CommonInvokeRequest{
		Method:        req.Method,
		ContentType:   req.ContentType,
		HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_Verb(verb), Querystring: req.Query},
	}
	if len(req.Data) > 0 {
		message.Data = &anypb.Any{Value: req.Data}
	}
	var header metadata.MD
	resp, err := c.api.InvokeService(ctx, &runtimev1.InvokeServiceRequest{Id: service, Message: message}, grpc.Header(&header))
	if err != nil {
		return nil, failed("InvokeService", err)
	}
	return &Response{Data: resp.GetData().GetValue(), ContentType: resp.GetContentType(), Header: answerHeader(header)}, nil
}

// Metadata of a call that are for the runtime.
const (
	timeoutKey = "rpc_request_timeout" // in milliseconds
	typeKey    = "rpc_request_type"
	targetKey  = "rpc_target_address"
	invokerKey = "rpc_invoker"
	channelKey = "rpc_channel"

	oneWay = "oneway" // a value of typeKey
)

// outgoing adds the request's header, and what the request says to the runtime, to
// what the context carries.
func outgoing(ctx context.Context, req *Request) (context.Context, error) {
	var pairs []string
	for name, values := range req.Header {
		lower := strings.ToLower(name)
		switch {
		case lower == "content-type":
			return nil, fmt.Errorf("ottavo: header %q: use ContentType", name)
		case lower == "" || strings.HasPrefix(lower, "grpc-") || strings.HasSuffix(lower, "-bin") || strings.ContainsFunc(lower, notInName):
			return nil, fmt.Errorf("ottavo: header %q: gRPC cannot carry that name (it takes letters, digits, \"-\", \"_\" and \".\", no grpc-… and no …-bin)", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, notPrintable) {
				return nil, fmt.Errorf("ottavo: header %q: the value must be printable ASCII", name)
			}
			pairs = append(pairs, lower, value)
		}
	}
	for _, say := range []struct{ field, key, value string }{
		{"Target", targetKey, req.Target}, {"Invoker", invokerKey, req.Invoker}, {"Channel", channelKey, req.Channel},
	} {
		switch {
		case say.value == "":
		case strings.ContainsFunc(say.value, notPrintable):
			return nil, fmt.Errorf("ottavo: %s %q: it must be printable ASCII", say.field, say.value)
		default:
			pairs = append(pairs, say.key, say.value)
		}
	}
	if req.OneWay {
		pairs = append(pairs, typeKey, oneWay)
	}
	switch {
	case req.Timeout < 0:
		return nil, fmt.Errorf("ottavo: Timeout %s is negative", req.Timeout)
	case req.Timeout > 0:
		ms := (req.Timeout + time.Millisecond - 1) / time.Millisecond
		pairs = append(pairs, timeoutKey, strconv.FormatInt(int64(ms), 10))
	}
	if len(pairs) == 0 {
		return ctx, nil
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...), nil
}

func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }

// answerHeader returns the metadata of an answer in the form of HTTP. The content
// type among them is gRPC's own.
func answerHeader(md metadata.MD) http.Header {
	header := make(http.Header, len(md))
	for name, values := range md {
		if name != "content-type" {
			header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	return header
}
