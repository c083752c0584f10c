package grpcapi

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Call is one call that has ended.
type Call struct {
	// FullMethod is "/package.Service/Method".
	FullMethod string
	// Known is false when there is no such method here; FullMethod is what the
	// client made up then, so it should not become the label of a metric.
	Known bool
	// Peer is the client's address; nil if there is none.
	Peer net.Addr
	// Code is how the call ended, as far as this side decides it.
	Code codes.Code
	// Duration is the time from the call's headers to its end here.
	Duration time.Duration
}

// guard is the outermost layer of every method: it recovers from panics and
// tells Observe. It is put around a method's handler once, when the method is
// registered, rather than being an interceptor: that costs a call no memory, and
// it sees requests that cannot be decoded and whatever interceptors do.
type guard struct {
	log     *slog.Logger
	observe func(context.Context, Call)
	stream  []grpc.StreamServerInterceptor
}

// unary puts the guard around a unary method.
func (g *guard) unary(full string, h grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (resp any, err error) {
		var begin time.Time
		if g.observe != nil {
			begin = time.Now()
		}
		defer func() {
			if p := recover(); p != nil {
				resp, err = nil, g.recovered(ctx, full, p)
			}
			if g.observe != nil {
				g.tell(ctx, full, true, begin, err)
			}
		}()
		return h(srv, ctx, dec, interceptor)
	}
}

// streaming puts the guard, and inside of it the stream interceptors, around a
// streaming method.
func (g *guard) streaming(full string, desc grpc.StreamDesc) grpc.StreamHandler {
	h := desc.Handler
	info := &grpc.StreamServerInfo{FullMethod: full, IsClientStream: desc.ClientStreams, IsServerStream: desc.ServerStreams}
	for i := len(g.stream) - 1; i >= 0; i-- {
		interceptor, next := g.stream[i], h
		h = func(srv any, ss grpc.ServerStream) error { return interceptor(srv, ss, info, next) }
	}
	return g.guarded(full, true, h)
}

func (g *guard) guarded(full string, known bool, h grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) (err error) {
		ctx := ss.Context()
		var begin time.Time
		if g.observe != nil {
			begin = time.Now()
		}
		defer func() {
			if p := recover(); p != nil {
				err = g.recovered(ctx, full, p)
			}
			if g.observe != nil {
				g.tell(ctx, full, known, begin, err)
			}
		}()
		return h(srv, ss)
	}
}

// serverOptions are what the guard needs of gRPC: that calls of methods that do
// not exist come to it too.
func (g *guard) serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnknownServiceHandler(func(srv any, ss grpc.ServerStream) error {
		full, _ := grpc.MethodFromServerStream(ss)
		return g.guarded(full, false, func(any, grpc.ServerStream) error {
			return status.Errorf(codes.Unimplemented, "%s: there is no such method here; server reflection lists those that are", full)
		})(srv, ss)
	})}
}

// tell reports a call to Observe. What Observe does wrong shall not become the
// caller's failure.
func (g *guard) tell(ctx context.Context, full string, known bool, begin time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.LogAttrs(ctx, slog.LevelError, "the observer of a call panicked",
				slog.String("method", full), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	c := Call{FullMethod: full, Known: known, Duration: time.Since(begin), Code: code(err)}
	if p, ok := peer.FromContext(ctx); ok {
		c.Peer = p.Addr
	}
	g.observe(ctx, c)
}

// code returns the code that gRPC answers err with.
func code(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// requestIDKey is the metadata key by which clients name a call.
const requestIDKey = "x-request-id"

// recovered writes a panic down and returns what the client gets to see of it.
func (g *guard) recovered(ctx context.Context, full string, p any) error {
	id := RequestID(ctx)
	g.log.LogAttrs(ctx, slog.LevelError, "a call panicked",
		slog.String("request_id", id), slog.String("method", full), slog.String("panic", fmt.Sprint(p)),
		slog.String("stack", string(debug.Stack())))
	// It fails only when the call is over already.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(requestIDKey, id))
	return status.Errorf(codes.Internal, "%s: internal error; the log has more under the request id %s", full, id)
}
