package pluggable

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/internal/settings"
	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
)

// greeter is a hello component in a process of its own, as Layotto has it. Nothing
// can be asked of it but greetings, so it is up as long as its connection is.
type greeter struct {
	*link
	client hellov1.HelloClient
}

func newHello(ctx context.Context, l *link, _ Socket, _ components.Env, cfg components.Config) (hello.Greeter, error) {
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		text, _ := settings.Text(cfg.Rest["hello"])
		_, err := hellov1.NewHelloClient(conn).Init(ctx, &hellov1.HelloConfig{
			Config: references(cfg), Type: cfg.Type, HelloString: text, Metadata: settings.Texts(cfg.Metadata),
		})
		return err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	return &greeter{l, hellov1.NewHelloClient(l)}, nil
}

// Hello implements hello.Greeter.
func (g *greeter) Hello(ctx context.Context, name string) (string, error) {
	resp, err := g.client.SayHello(ctx, &hellov1.HelloRequest{Name: name})
	return resp.GetHelloString(), g.explain(ctx, err, kindErrors{})
}

// Close ends the connection. It is safe twice.
func (g *greeter) Close() error {
	g.close()
	return nil
}

// unimplemented says that a component lacks a method.
func unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }
