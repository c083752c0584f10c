package pluggable_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/custom/customtest"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/hello/hellotest"
	"github.com/ottavo-runtime/ottavo/components/pluggable"
	customv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/custom"
	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
)

// TestHelloSuite: a greeter in a process of its own keeps the contract.
func TestHelloSuite(t *testing.T) {
	t.Parallel()
	rows := start(t, new(helloServer).register).rows().Hellos
	hellotest.Run(t, hellotest.Options{
		Open: func(t *testing.T) hello.Greeter {
			g, err := tryOpen(t, rows, components.Config{Rest: map[string]any{"hello": "hi"}})
			if err != nil {
				t.Fatal(err)
			}
			return g
		},
		Want: func(name string) string { return "hi, " + name },
	})
}

type (
	// noCustom is what a server lacks, one level down, so that ownInit's methods count.
	noCustom struct {
		customv1.UnimplementedCustomServer
	}
	customServer struct {
		noCustom
		ownInit
	}
)

// TestCustomSuite: a component of a user's own kind in a process of its own, used
// through a service of its own, keeps the contract.
func TestCustomSuite(t *testing.T) {
	t.Parallel()
	greets := &helloServer{init: &hellov1.HelloConfig{HelloString: "hi"}}
	p := start(t, func(g *grpc.Server) {
		customv1.RegisterCustomServer(g, new(customServer))
		greets.register(g)
	})
	rows := p.rows().Customs
	if len(rows) != 1 {
		t.Fatalf("rows: %+v, want one", rows)
	}
	customtest.Run(t, customtest.Options{
		New:    rows[0].New,
		Config: components.Config{Name: "mine", Type: "demo", Kind: "robots", Path: "runtime.custom_component.robots.mine"},
		Use: func(ctx context.Context, c custom.Component) error {
			resp, err := hellov1.NewHelloClient(c.(pluggable.Custom)).SayHello(ctx, &hellov1.HelloRequest{Name: "eva"})
			if err == nil && resp.GetHelloString() != "hi, eva" {
				err = fmt.Errorf("answered %q", resp.GetHelloString())
			}
			return err
		},
	})
}
