package grpcapi

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// errStopping ends the streams that would otherwise go on for ever.
var errStopping = status.Error(codes.Unavailable, "the server is stopping")

// healthService is gRPC's health service, whose watches end when the server
// does: they never end by themselves, and would hold up Shutdown.
type healthService struct {
	healthpb.HealthServer
	draining <-chan struct{}
}

// Watch sends the health of a service now and whenever it changes. When the
// server stops, the last thing it sends is NOT_SERVING.
func (h *healthService) Watch(req *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-h.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := h.HealthServer.Watch(req, &watchStream{Health_WatchServer: stream, ctx: ctx})
	cancel()
	<-ended
	select {
	case <-h.draining:
	default:
		return err
	}
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
		return err
	}
	return errStopping
}

// watchStream is a stream with a context that ends earlier.
type watchStream struct {
	healthpb.Health_WatchServer
	ctx context.Context
}

// Context returns the context that ends when the server stops.
func (w *watchStream) Context() context.Context { return w.ctx }

// untilDraining puts an end to streams of the server's own services when it
// stops: a client that leaves its reflection stream open shall not hold it up.
func (s *Server) untilDraining(h grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, ss grpc.ServerStream) error {
		if _, ok := srv.(*healthService); ok {
			return h(srv, ss) // ends itself, with a last message
		}
		full, _ := grpc.MethodFromServerStream(ss)
		recovering := guard{log: s.log} // the guard around us is in another goroutine
		ended := make(chan error, 1)
		// When we return, the stream's context ends, and with it h.
		go func() { ended <- recovering.guarded(full, true, h)(srv, ss) }()
		select {
		case err := <-ended:
			return err
		case <-s.draining:
			return errStopping
		}
	}
}
