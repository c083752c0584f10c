package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // lets clients compress their messages; answers follow
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// Service is one API flavour.
type Service interface {
	// Register registers the flavour's services. It is called once, before the
	// server runs.
	Register(grpc.ServiceRegistrar)
}

// Limits that have no option.
const (
	// maxHeaderBytes bounds a call's metadata.
	maxHeaderBytes = 64 << 10
	// handshakeTime is how long a new connection may take to say that it speaks HTTP/2.
	handshakeTime = 10 * time.Second
	// stopTime is how long Shutdown waits for calls that it has cut off to
	// notice it.
	stopTime = 2 * time.Second
	// streamWorkers is how many goroutines are kept for calls. One read brings as
	// many calls as a client has put together, and only those for which a worker
	// waits at that moment get one, so it is about how many calls arrive at once
	// and not about CPUs. A worker that waits holds 2 to 8 KiB of stack.
	streamWorkers = 64
)

// Options are what a Server is made from. Only Services is needed.
type Options struct {
	// Services are the APIs.
	Services []Service
	// Log receives panics, and little else. nil: slog.Default.
	Log *slog.Logger
	// MaxRecvBytes bounds a message from a client; a larger one is answered with
	// RESOURCE_EXHAUSTED. 0: 4 MiB.
	MaxRecvBytes int
	// MaxSendBytes bounds a message to a client. 0: 2 GiB, what gRPC can send.
	MaxSendBytes int
	// MaxConcurrentStreams bounds the calls that run at once on one connection;
	// clients hold further calls back until there is room. 0: 4096.
	MaxConcurrentStreams uint32
	// Observe, if not nil, is told of every call when it has ended. It is called
	// from many goroutines at once and must not block.
	Observe func(context.Context, Call)
	// UnaryInterceptors and StreamInterceptors are put around every method of
	// every service, the first of them outermost; inside of the recovery from
	// panics and of Observe.
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor
}

const (
	defaultMaxRecvBytes         = 4 << 20
	defaultMaxConcurrentStreams = 4096
)

// Server is a gRPC server. Use New. All methods are safe for concurrent use.
type Server struct {
	grpc   *grpc.Server
	health *health.Server
	names  []string // of the services whose health there is
	log    *slog.Logger
	guard  guard

	conns   connSet
	handoff *handoff
	loops   sync.WaitGroup // goroutines of ours that end with the server

	stop     sync.Once
	draining chan struct{} // closed when Shutdown begins
	stopped  chan struct{} // closed when it has ended
	stopErr  error         // set before stopped is closed
}

// New makes a server. It must be ended with Shutdown, also when it was never
// used. A service that is registered twice is an error, and so is an option that
// makes no sense.
func New(opts Options) (*Server, error) {
	if opts.MaxRecvBytes < 0 || opts.MaxSendBytes < 0 {
		return nil, fmt.Errorf("grpcapi: MaxRecvBytes %d, MaxSendBytes %d: a limit must not be negative; 0 is the default",
			opts.MaxRecvBytes, opts.MaxSendBytes)
	}
	if opts.MaxRecvBytes == 0 {
		opts.MaxRecvBytes = defaultMaxRecvBytes
	}
	if opts.MaxSendBytes == 0 {
		opts.MaxSendBytes = math.MaxInt32
	}
	if opts.MaxConcurrentStreams == 0 {
		opts.MaxConcurrentStreams = defaultMaxConcurrentStreams
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	s := &Server{
		health:   health.NewServer(),
		log:      opts.Log,
		guard:    guard{log: opts.Log, observe: opts.Observe, stream: opts.StreamInterceptors},
		handoff:  newHandoff(),
		draining: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	s.grpc = grpc.NewServer(append(s.guard.serverOptions(), serverOptions(opts)...)...)
	if err := s.register(opts.Services); err != nil {
		s.grpc.Stop() // ends its workers
		return nil, err
	}
	// It fails only when the server is shut down; then the handoff is closed,
	// which ServeConn sees.
	s.loops.Go(func() { _ = s.grpc.Serve(s.handoff) })
	return s, nil
}

// serverOptions are how gRPC's server is set up.
func serverOptions(opts Options) []grpc.ServerOption {
	out := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(opts.MaxRecvBytes),
		grpc.MaxSendMsgSize(opts.MaxSendBytes),
		grpc.MaxConcurrentStreams(opts.MaxConcurrentStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTime),

		// Windows of a fixed size. By default gRPC measures the connection to size
		// them, with a ping of its own and its answer for as much as every message
		// of a client that calls one after the other. Beside an application there
		// is nothing to measure; without it such a call has 6 allocations less
		// (BenchmarkUnary). A window is a permission, not a buffer: it costs memory
		// only when a client sends and nobody reads, at most 2 MiB per connection.
		grpc.StaticStreamWindowSize(1 << 20),
		grpc.StaticConnWindowSize(2 << 20),

		// Calls run on goroutines that are kept, so that their stacks have grown
		// once and not in each call. When all are busy, new ones are started as
		// usual: nothing waits for a worker.
		grpc.NumStreamWorkers(streamWorkers),

		// Applications stay connected without calling for long, and some of
		// their platforms make their clients ping meanwhile. gRPC's default takes
		// a ping more often than every 5 minutes for an attack and hangs up.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if len(opts.UnaryInterceptors) > 0 {
		out = append(out, grpc.ChainUnaryInterceptor(opts.UnaryInterceptors...))
	}
	return out
}

// register registers the services, and ours beside them.
func (s *Server) register(services []Service) error {
	r := &registrar{server: s.grpc, guard: &s.guard}
	for _, svc := range services {
		svc.Register(r)
	}
	s.names = append([]string{""}, r.names...)
	s.SetServing(true)

	r.around = s.untilDraining
	healthpb.RegisterHealthServer(r, &healthService{HealthServer: s.health, draining: s.draining})
	reflection.Register(r)
	return errors.Join(r.errs...)
}

// SetServing sets the health of the server as a whole, and of each of its
// services, to SERVING or NOT_SERVING. It is SERVING from the start; once
// Shutdown began, it stays NOT_SERVING. It has no influence on calls.
func (s *Server) SetServing(serving bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthpb.HealthCheckResponse_SERVING
	}
	for _, name := range s.names {
		s.health.SetServingStatus(name, status)
	}
}

// Serve accepts connections from l and serves them. It closes l, and returns
// when Shutdown has ended (nil), or when l fails. Several listeners may be
// served at once.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(&trackedListener{Listener: l, conns: &s.conns}); err != nil {
		return fmt.Errorf("grpcapi: serving %s: %w", l.Addr(), err)
	}
	return nil
}

// ServeConn serves a connection that somebody else accepted, and returns when it
// is closed. It owns c. The end of ctx closes c at once, whatever it is doing,
// and is returned as ctx's error; a Shutdown lets its calls finish first. After
// one it closes c and returns grpc.ErrServerStopped.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) error {
	tc := s.conns.add(c)
	defer func() { _ = tc.Close() }() // closed already, or nobody left to tell
	select {
	case s.handoff.conns <- tc:
	case <-s.handoff.closed:
		return grpc.ErrServerStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-tc.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown ends the server: health becomes NOT_SERVING, no connection is
// accepted any more, clients are told to go elsewhere, and calls that run may
// finish. When ctx ends before they have, they are cut off, and the error says
// so. Further calls of Shutdown wait for the first one.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Do(func() {
		go func() {
			s.stopErr = s.shutdown(ctx)
			close(s.stopped)
		}()
	})
	select {
	case <-s.stopped:
		return s.stopErr
	case <-ctx.Done():
	}
	// The first caller's shutdown ends soon after its ctx; another caller's own
	// ctx bounds only its waiting.
	timer := time.NewTimer(2 * stopTime)
	defer timer.Stop()
	select {
	case <-s.stopped:
		return s.stopErr
	case <-timer.C:
		return fmt.Errorf("grpcapi: shutting down goes on: %w", ctx.Err())
	}
}

func (s *Server) shutdown(ctx context.Context) error {
	s.health.Shutdown()
	close(s.draining)
	_ = s.handoff.Close() // never fails
	s.conns.hurrySilent()

	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		s.loops.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}

	cut := s.conns.closeAll()
	stopped := make(chan struct{})
	go func() {
		s.grpc.Stop()
		close(stopped)
	}()
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	left := ""
	for _, ch := range []chan struct{}{stopped, done} {
		select {
		case <-ch:
		case <-timer.C:
			left = "; some of their calls do not end and were left behind"
			timer.Reset(0)
		}
	}
	return fmt.Errorf("grpcapi: the time to finish calls ran out (%w): %d connections were cut off%s", ctx.Err(), cut, left)
}
