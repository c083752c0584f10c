package grpccall

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Call is one call of a method.
type Call struct {
	// Method is what to call, from Client.Method.
	Method protoreflect.MethodDescriptor
	// Requests holds JSON documents, one after the other: one at most, or any
	// number if the method takes a stream. A document is sent as soon as it is
	// complete. Without one, a method that takes a single request gets an empty
	// one. Reading is not interrupted when the call ends first: then the last
	// Read may still be waiting.
	Requests io.Reader
	// MaxMessageSize bounds a document, in bytes. 0: DefaultMaxMessageSize.
	MaxMessageSize int
	// OnHeader and OnTrailer, if not nil, get the answer's metadata.
	OnHeader, OnTrailer func(metadata.MD)
	// OnMessage gets each answer as JSON. Its error ends the call.
	OnMessage func(json []byte) error
}

// A StatusError says that a call was answered with an error.
type StatusError struct {
	// Code is its name: "NOT_FOUND".
	Code string
	// Message is the text.
	Message string
	// Details are the error's details.
	Details []Detail
	status  *status.Status
}

// A Detail says more about an error.
type Detail struct {
	// Type is the URL of the message's type, may be "".
	Type string
	// JSON is the detail, over several lines.
	JSON []byte
}

// Error returns "CODE: message".
func (e *StatusError) Error() string { return e.Code + ": " + e.Message }

// GRPCStatus makes status.FromError work.
func (e *StatusError) GRPCStatus() *status.Status { return e.status }

// Call carries out a call; the metadata for it is in ctx, as gRPC has it. Errors are of type *StatusError, if it was answered
// with one, or *JSONError, if a request cannot be understood; if that is the first
// one, nothing was sent.
func (c *Client) Call(ctx context.Context, call Call) error {
	size := call.MaxMessageSize
	if size <= 0 {
		size = DefaultMaxMessageSize
	}
	r := &run{Call: call, types: c.resolver(), docs: newDocuments(call.Requests, size)}
	first, err := r.first()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errCallEnded)
	md := call.Method
	stream, err := c.conn.NewStream(ctx,
		&grpc.StreamDesc{ClientStreams: md.IsStreamingClient(), ServerStreams: md.IsStreamingServer()},
		fmt.Sprintf("/%s/%s", md.Parent().FullName(), md.Name()))
	if err != nil {
		return failed(err, r.types)
	}
	// Requests go out while answers come in: a server may wait for either. The
	// end of the stream ends SendMsg, too.
	go func() {
		if err := r.send(stream, first); err != nil {
			cancel(err)
		}
	}()
	err = r.receive(stream)
	if cause := context.Cause(ctx); err != nil && cause != nil && cancelled(ctx, err) {
		if !errors.Is(cause, ctx.Err()) {
			err = cause // a request that could not be sent
		}
	}
	return failed(err, r.types)
}

// run is a call under way.
type run struct {
	Call
	types resolver
	docs  *documents
}

// first returns the first request; nil if there is none, which only happens with
// streams.
func (r *run) first() (*dynamicpb.Message, error) {
	m, err := r.next()
	if r.Method.IsStreamingClient() {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return m, err
	}
	switch {
	case errors.Is(err, io.EOF):
		return dynamicpb.NewMessage(r.Method.Input()), nil
	case err != nil:
		return nil, err
	}
	switch doc, err := r.docs.next(); {
	case err == nil:
		return nil, doc.errorf(0, "%s takes one request, this is a second one", r.Method.FullName())
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return m, nil
}

// next reads a request; io.EOF after the last.
func (r *run) next() (*dynamicpb.Message, error) {
	doc, err := r.docs.next()
	if err != nil {
		return nil, err
	}
	return parse(doc, r.Method.Input(), r.types)
}

// send sends all requests. If the stream ends meanwhile, that is nil: receive
// learns why.
func (r *run) send(stream grpc.ClientStream, m *dynamicpb.Message) error {
	var err error
	for m != nil {
		if err := stream.SendMsg(m); err != nil {
			return notEOF(err)
		}
		if !r.Method.IsStreamingClient() {
			break
		}
		if m, err = r.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return stream.CloseSend()
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// receive hands on what comes back.
func (r *run) receive(stream grpc.ClientStream) error {
	if r.OnHeader != nil {
		header, err := stream.Header()
		if err != nil {
			return err
		}
		if header != nil {
			r.OnHeader(header)
		}
	}
	err := r.messages(stream)
	if r.OnTrailer != nil {
		r.OnTrailer(stream.Trailer())
	}
	return err
}

func (r *run) messages(stream grpc.ClientStream) error {
	for {
		m := dynamicpb.NewMessage(r.Method.Output())
		if err := stream.RecvMsg(m); err != nil {
			switch {
			case !errors.Is(err, io.EOF):
				return err
			case !r.Method.IsStreamingServer():
				return errors.New("the server ended the call without an answer")
			}
			return nil
		}
		text, err := printJSON(m, r.types)
		if err != nil {
			return err
		}
		if err := r.OnMessage(text); err != nil {
			return fmt.Errorf("writing an answer: %w", err)
		}
		if !r.Method.IsStreamingServer() {
			return nil
		}
	}
}

// failed turns the status that a call ended with into a *StatusError.
func failed(err error, types resolver) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	name, known := code.Code_name[int32(st.Code())]
	if !known {
		name = fmt.Sprintf("CODE_%d", st.Code())
	}
	out := &StatusError{Code: name, Message: st.Message(), status: st}
	for _, any := range st.Proto().GetDetails() {
		text, err := printJSON(any.ProtoReflect(), types)
		if err != nil {
			text = fmt.Appendf(nil, "%q (%v)", any.GetValue(), err)
		}
		out.Details = append(out.Details, Detail{any.GetTypeUrl(), text})
	}
	return out
}
