package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// The parts that a process of this program can play besides measuring.
const (
	roleClient       = "client"
	roleHTTPService  = "http-service"
	roleHTTP2Service = "http2-service"
	roleGRPCService  = "grpc-service"
	roleBoltService  = "bolt-service"
	roleTCPService   = "tcp-service"
)

// A serveFunc serves what arrives at a listener until that fails.
type serveFunc func(net.Listener) error

// service returns what the role of a service does.
func service(role string) (serveFunc, bool) {
	switch role {
	case roleHTTPService:
		return httpService(), true
	case roleHTTP2Service:
		return http2Service(), true
	case roleGRPCService:
		return grpcService(), true
	case roleBoltService:
		return boltService(), true
	case roleTCPService:
		return tcpService(), true
	}
	return nil, false
}

// play runs a role until its standard input ends.
func play(name string, stdin io.Reader, stdout io.Writer) error {
	if name == roleClient {
		return playClient(stdin, stdout)
	}
	run, ok := service(name)
	if !ok {
		return fmt.Errorf("%s=%s: no such role", roleVariable, name)
	}
	return serve(stdin, stdout, run)
}

// serve listens on a free port, writes its address, and ends with stdin, so no
// service outlives the process that measures.
func serve(stdin io.Reader, stdout io.Writer, run serveFunc) error {
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

// A clientOrder says what a client process is to do.
type clientOrder struct {
	Protocol string // one that newClient knows
	Address  string
	Store    string // for "state-get" and "state-save"
	Body     int    // bytes sent with each call
	Answer   int    // bytes that each answer has to have
	Load     load
}

// order returns the order for calls with as many bytes each way as -body says.
func (b *bench) order(protocol, address string) clientOrder {
	return clientOrder{Protocol: protocol, Address: address, Body: b.body, Answer: b.body}
}

func playClient(stdin io.Reader, stdout io.Writer) error {
	var order clientOrder
	if err := json.NewDecoder(stdin).Decode(&order); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	// A call that hangs ends with this; it also travels as the deadline.
	ctx, cancel := context.WithTimeout(context.Background(), order.Load.Warmup+order.Load.Duration+10*time.Second)
	defer cancel()
	newCall, closeConns, err := newClient(ctx, order)
	if err != nil {
		return err
	}
	defer closeConns()
	return json.NewEncoder(stdout).Encode(order.Load.run(ctx, newCall))
}

// A newCallFunc returns the call that one worker makes again and again.
type newCallFunc func() func(context.Context) error

// newClient opens the client's connections and returns what its workers call.
// It makes the first call itself where the others need that.
func newClient(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	switch order.Protocol {
	case "grpc":
		return invokeClient(ctx, order)
	case "http":
		return httpClient(ctx, order)
	case "http2":
		return http2Client(ctx, order)
	case "bolt":
		return boltClient(ctx, order)
	case "tcp":
		return tcpClient(ctx, order)
	case "state-get", "state-save":
		return stateClient(ctx, order)
	case "redis-get", "redis-set":
		return redisClient(ctx, order)
	}
	return nil, nil, fmt.Errorf("protocol %q: there is no client for it", order.Protocol)
}

// filled returns n bytes that are not all the same.
func filled(n int) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	return body
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
