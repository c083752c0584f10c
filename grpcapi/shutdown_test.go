package grpcapi_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestShutdownLetsCallsFinish(t *testing.T) {
	unaryBegan, streamBegan, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := &fake{
		sayHello: func(context.Context, *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
			close(unaryBegan)
			<-goOn
			return &runtimev1.SayHelloResponse{Hello: "finished"}, nil
		},
		subscribe: func(s runtimev1.Runtime_SubscribeTopicEventsServer) error {
			close(streamBegan)
			for range 3 {
				if _, err := s.Recv(); err != nil {
					return err
				}
				if err := s.Send(&runtimev1.SubscribeTopicEventsResponse{}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	srv, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}})
	client := runtimev1.NewRuntimeClient(cc)

	unary := make(chan error, 1)
	go func() {
		resp, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{})
		if err == nil && resp.GetHello() != "finished" {
			err = errors.New("wrong answer " + resp.GetHello())
		}
		unary <- err
	}()
	stream, err := client.SubscribeTopicEvents(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	turn := func() {
		t.Helper()
		if err := stream.Send(&runtimev1.SubscribeTopicEventsRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Error(err)
		}
	}
	turn()
	wait(t, unaryBegan)
	wait(t, streamBegan)

	// A watcher sees health change before anything is cut; an idle reflection
	// stream does not hold up the end.
	watch, err := healthpb.NewHealthClient(cc).Watch(timeout(t), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := watch.Recv(); err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(resp, err)
	}
	idle, err := reflectionv1.NewServerReflectionClient(cc).ServerReflectionInfo(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Recv(); err != nil {
		t.Fatal(err)
	}

	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(timeout(t)) }()
	if resp, err := watch.Recv(); err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health %v, %v; want NOT_SERVING", resp.GetStatus(), err)
	}
	if _, err := idle.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the reflection stream ended with %v, want UNAVAILABLE", err)
	}
	// The server is stopping, and the calls go on.
	turn()
	turn()
	if _, err := stream.Recv(); err == nil || status.Code(err) != codes.Unknown && err.Error() != "EOF" {
		t.Errorf("the stream ended with %v, want EOF", err)
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown = %v although a call is running", err)
	default:
	}
	close(goOn)
	if err := wait(t, unary); err != nil {
		t.Errorf("the call that was running: %v", err)
	}
	if err := wait(t, down); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if _, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call afterwards: %v, want UNAVAILABLE", err)
	}
	if err := srv.Shutdown(timeout(t)); err != nil {
		t.Errorf("Shutdown again = %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		t.Errorf("Serve afterwards = %v, want ErrServerStopped", err)
	}
}

func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	for name, heed := range map[string]bool{"heeds its context": true, "heeds nothing": false} {
		t.Run(name, func(t *testing.T) {
			began, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			s := &fake{sayHello: func(ctx context.Context, _ *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
				close(began)
				done := ctx.Done()
				if !heed {
					done = nil
				}
				select {
				case <-done:
				case <-release:
				}
				return nil, ctx.Err()
			}}
			srv, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{s}})
			call := make(chan error, 1)
			go func() {
				_, err := runtimev1.NewRuntimeClient(cc).SayHello(timeout(t), &runtimev1.SayHelloRequest{})
				call <- err
			}()
			wait(t, began)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := srv.Shutdown(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections were cut off") {
				t.Errorf("Shutdown = %v", err)
			}
			if left := strings.Contains(err.Error(), "left behind"); left == heed {
				t.Errorf("Shutdown = %v", err)
			}
			if err := wait(t, call); status.Code(err) != codes.Unavailable {
				t.Errorf("the call: %v, want UNAVAILABLE", err)
			}
		})
	}
}

// A connection that says nothing, as load balancers make them to see whether a
// port is open, holds up neither a graceful end nor a forced one.
func TestShutdownWithSilentConnection(t *testing.T) {
	for name, limit := range map[string]time.Duration{"graceful": testTime, "forced": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serveOn(t, srv, l)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			// The server speaks first; then it has accepted us.
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			err = srv.Shutdown(ctx)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("Shutdown took %v", took)
			}
			if name == "graceful" && err != nil {
				t.Errorf("Shutdown = %v", err)
			}
		})
	}
}

func TestShutdownUnused(t *testing.T) {
	srv, err := grpcapi.New(grpcapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Shutdown(timeout(t)); err != nil {
		t.Error(err)
	}
	a, b := net.Pipe()
	defer func() { _ = a.Close() }()
	if err := srv.ServeConn(timeout(t), b); !errors.Is(err, grpc.ErrServerStopped) {
		t.Errorf("ServeConn afterwards = %v, want ErrServerStopped", err)
	}
	if _, err := b.Write([]byte("x")); err == nil {
		t.Errorf("ServeConn left the connection open")
	}
}

// Every call that was accepted while the server is stopped under load succeeds.
func TestShutdownUnderLoad(t *testing.T) {
	srv, cc := serve(t, grpcapi.Options{Services: []grpcapi.Service{&fake{}}})
	client := runtimev1.NewRuntimeClient(cc)
	results := make(chan error)
	for range 16 {
		go func() {
			for {
				_, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: "x"})
				if err != nil {
					results <- err
					return
				}
			}
		}()
	}
	for range 100 {
		if _, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{Name: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := srv.Shutdown(timeout(t)); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	for range 16 {
		// Calls that were not accepted fail because there is nobody any more: no
		// connection, never one that broke in the middle of a call.
		err := wait(t, results)
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a call failed with %v", err)
		}
	}
}
