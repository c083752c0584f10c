// Command pluggable is a component in a process of its own: a greeter that the
// runtime finds by its unix socket. It takes no greeting without a token, to show
// that a component has settings.
//
// A component of another kind is the same with another service; docs/pluggable.md
// lists them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
)

func main() {
	socket := flag.String("socket", "/tmp/runtime/component-sockets/hello-grpc-demo.sock", "where to listen; the name without its extension is the type")
	flag.Parse()

	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *socket, log.New(os.Stdout, "", 0))
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, socket string, out *log.Logger) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return err
	}
	// A process that was killed leaves its socket behind.
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	hellov1.RegisterHelloServer(server, &greeter{log: out})
	// By reflection the runtime learns what is served here.
	reflection.Register(server)
	defer context.AfterFunc(ctx, server.GracefulStop)()
	out.Printf("listening on %s", socket)
	return server.Serve(listener)
}

// greeter is the component.
type greeter struct {
	hellov1.UnimplementedHelloServer
	log *log.Logger

	mu       sync.Mutex
	greeting string
}

// Init is called when the runtime has connected, and again when one of the two was
// restarted.
func (g *greeter) Init(_ context.Context, c *hellov1.HelloConfig) (*emptypb.Empty, error) {
	if c.GetMetadata()["token"] == "" {
		return nil, status.Error(codes.InvalidArgument, "the setting token is missing")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.greeting = c.GetHelloString()
	g.log.Printf("initialised as a component of type %s", c.GetType())
	return &emptypb.Empty{}, nil
}

// SayHello greets.
func (g *greeter) SayHello(_ context.Context, r *hellov1.HelloRequest) (*hellov1.HelloResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &hellov1.HelloResponse{HelloString: fmt.Sprintf("%s, %s", g.greeting, r.GetName())}, nil
}
