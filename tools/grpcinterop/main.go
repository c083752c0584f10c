// Command grpcinterop runs the cases of gRPC's interoperability tests, as
// grpc-go wrote them, against a server of grpc-go's that stands behind
// something else. It is a module of its own because those cases need modules
// that the project does not.
//
//	grpcinterop serve [CERT KEY]             serve until standard input ends; the first line tells the address
//	grpcinterop call ADDRESS [CA SERVERNAME] run the cases; one line for each that passed
//
// A case that fails ends the program with its reason.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 0 && args[0] == "serve":
		err = serve(args[1:])
	case len(args) > 1 && args[0] == "call":
		err = call(args[1], args[2:])
	default:
		err = fmt.Errorf("usage: %s serve [CERT KEY] | call ADDRESS [CA SERVERNAME]", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(files []string) error {
	recorder := orca.NewServerMetricsRecorder()
	opts := []grpc.ServerOption{orca.CallMetricsServerOption(recorder)}
	if len(files) == 2 {
		creds, err := credentials.NewServerTLSFromFile(files[0], files[1])
		if err != nil {
			return err
		}
		opts = append(opts, grpc.Creds(creds))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer(opts...)
	pb.RegisterTestServiceServer(s, interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder}))
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	return s.Serve(l)
}

func call(address string, files []string) error {
	creds := insecure.NewCredentials()
	if len(files) == 2 {
		var err error
		if creds, err = credentials.NewClientTLSFromFile(files[0], files[1]); err != nil {
			return err
		}
	}
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`))
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	tc := pb.NewTestServiceClient(cc)
	// In the order, and by the names, of grpc-go's own script.
	for _, c := range []struct {
		name string
		run  func(context.Context)
	}{
		{"empty_unary", func(ctx context.Context) { interop.DoEmptyUnaryCall(ctx, tc) }},
		{"large_unary", func(ctx context.Context) { interop.DoLargeUnaryCall(ctx, tc) }},
		{"client_streaming", func(ctx context.Context) { interop.DoClientStreaming(ctx, tc) }},
		{"server_streaming", func(ctx context.Context) { interop.DoServerStreaming(ctx, tc) }},
		{"ping_pong", func(ctx context.Context) { interop.DoPingPong(ctx, tc) }},
		{"empty_stream", func(ctx context.Context) { interop.DoEmptyStream(ctx, tc) }},
		{"timeout_on_sleeping_server", func(ctx context.Context) { interop.DoTimeoutOnSleepingServer(ctx, tc) }},
		{"cancel_after_begin", func(ctx context.Context) { interop.DoCancelAfterBegin(ctx, tc) }},
		{"cancel_after_first_response", func(ctx context.Context) { interop.DoCancelAfterFirstResponse(ctx, tc) }},
		{"status_code_and_message", func(ctx context.Context) { interop.DoStatusCodeAndMessage(ctx, tc) }},
		{"special_status_message", func(ctx context.Context) { interop.DoSpecialStatusMessage(ctx, tc) }},
		{"custom_metadata", func(ctx context.Context) { interop.DoCustomMetadata(ctx, tc) }},
		{"unimplemented_method", func(ctx context.Context) { interop.DoUnimplementedMethod(ctx, cc) }},
		{"unimplemented_service", func(ctx context.Context) {
			interop.DoUnimplementedService(ctx, pb.NewUnimplementedServiceClient(cc))
		}},
		{"orca_per_rpc", func(ctx context.Context) { interop.DoORCAPerRPCTest(ctx, tc) }},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		c.run(ctx)
		cancel()
		fmt.Println("ok", c.name)
	}
	return nil
}
