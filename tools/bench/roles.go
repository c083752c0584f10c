package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// The parts that a process of this program can play besides measuring.
const (
	roleClient      = "client"
	roleHTTPService = "http-service"
	roleGRPCService = "grpc-service"
)

// play runs a role until its standard input ends.
func play(name string, stdin io.Reader, stdout io.Writer) error {
	switch name {
	case roleClient:
		return playClient(stdin, stdout)
	case roleHTTPService:
		return serve(stdin, stdout, httpService())
	case roleGRPCService:
		return serve(stdin, stdout, grpcService())
	}
	return fmt.Errorf("%s=%s: no such role", roleVariable, name)
}

// serve listens on a free port, writes its address, and ends with stdin, so no
// service outlives the process that measures.
func serve(stdin io.Reader, stdout io.Writer, run func(net.Listener) error) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- run(listener) }()
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// httpService answers every request with its own body. It is built with
// fasthttp, because the cheaper the service, the plainer the sidecar's share.
func httpService() func(net.Listener) error {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/octet-stream")
		ctx.SetBody(ctx.PostBody())
	}}
	return server.Serve
}

// grpcService answers InvokeService like httpService does, so that the direct
// gRPC call carries the same messages as the one through the sidecar.
func grpcService() func(net.Listener) error {
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, echo{})
	return server.Serve
}

type echo struct {
	runtimev1.UnimplementedRuntimeServer
}

func (echo) InvokeService(_ context.Context, in *runtimev1.InvokeServiceRequest) (*runtimev1.InvokeResponse, error) {
	return &runtimev1.InvokeResponse{Data: in.GetMessage().GetData(), ContentType: in.GetMessage().GetContentType()}, nil
}

// A clientOrder says what a client process is to do.
type clientOrder struct {
	Protocol string // "grpc" (Runtime/InvokeService) or "http" (POST /echo)
	Address  string
	Body     int // bytes
	Load     load
}

func playClient(stdin io.Reader, stdout io.Writer) error {
	var order clientOrder
	if err := json.NewDecoder(stdin).Decode(&order); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	// A call that hangs ends with this; it also travels as the deadline.
	ctx, cancel := context.WithTimeout(context.Background(), order.Load.Warmup+order.Load.Duration+10*time.Second)
	defer cancel()
	newCall, closeConns, err := newClient(order)
	if err != nil {
		return err
	}
	defer closeConns()
	return json.NewEncoder(stdout).Encode(order.Load.run(ctx, newCall))
}

// newClient opens the client's connections and returns what its workers call:
// one gRPC connection shared by all, as SDKs have it, or an HTTP connection for
// each call in flight.
func newClient(order clientOrder) (newCall func() func(context.Context) error, closeConns func(), err error) {
	body := make([]byte, order.Body)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	switch order.Protocol {
	case "grpc":
		conn, err := grpc.NewClient(order.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		client := runtimev1.NewRuntimeClient(conn)
		newCall = func() func(context.Context) error {
			request := &runtimev1.InvokeServiceRequest{
				Id: serviceID,
				Message: &runtimev1.CommonInvokeRequest{
					Method:        "/echo",
					ContentType:   "application/octet-stream",
					Data:          &anypb.Any{Value: body},
					HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST},
				},
			}
			return func(ctx context.Context) error {
				response, err := client.InvokeService(ctx, request)
				if err != nil {
					return err
				}
				return checkLength(len(response.GetData().GetValue()), len(body))
			}
		}
		return newCall, func() { _ = conn.Close() }, nil
	case "http":
		client := &fasthttp.HostClient{Addr: order.Address, MaxConns: order.Load.Workers}
		newCall = func() func(context.Context) error {
			var request fasthttp.Request
			var response fasthttp.Response
			request.SetRequestURI("http://" + order.Address + "/echo")
			request.Header.SetMethod(fasthttp.MethodPost)
			request.Header.SetContentType("application/octet-stream")
			request.Header.Set("id", serviceID)
			request.SetBody(body)
			return func(ctx context.Context) error {
				deadline, ok := ctx.Deadline()
				if !ok {
					return errors.New("no deadline")
				}
				if err := client.DoDeadline(&request, &response, deadline); err != nil {
					return err
				}
				if code := response.StatusCode(); code != fasthttp.StatusOK {
					return fmt.Errorf("status %d", code)
				}
				return checkLength(len(response.Body()), len(body))
			}
		}
		return newCall, client.CloseIdleConnections, nil
	}
	return nil, nil, fmt.Errorf("protocol %q: want grpc or http", order.Protocol)
}

func checkLength(got, want int) error {
	if got != want {
		return fmt.Errorf("the answer has %d bytes, want %d", got, want)
	}
	return nil
}

// mainRole runs the role that the environment names and returns the exit code.
func mainRole(name string) int {
	if err := play(name, os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}
