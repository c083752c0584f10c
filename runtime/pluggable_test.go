package runtime_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/config"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	customv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/custom"
	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
)

// pluggableProcess plays the process of a greeter and of a component of a user's own
// kind, whose own service is the greeter's.
type pluggableProcess struct {
	hellov1.UnimplementedHelloServer
	mu   sync.Mutex
	init *componentv1.InitRequest
}

func (p *pluggableProcess) Init(context.Context, *hellov1.HelloConfig) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *pluggableProcess) SayHello(_ context.Context, r *hellov1.HelloRequest) (*hellov1.HelloResponse, error) {
	return &hellov1.HelloResponse{HelloString: "pluggable " + r.GetName()}, nil
}

// customProcess is the same process's other service.
type customProcess struct {
	customv1.UnimplementedCustomServer
	*pluggableProcess
}

func (c customProcess) Init(_ context.Context, r *componentv1.InitRequest) (*componentv1.InitResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init = r
	return &componentv1.InitResponse{}, nil
}

// socketFolder is a folder whose path leaves room for a socket's name.
func socketFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "plug")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func (p *pluggableProcess) serve(t *testing.T, path string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	hellov1.RegisterHelloServer(g, p)
	customv1.RegisterCustomServer(g, customProcess{pluggableProcess: p})
	reflection.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() {
		g.Stop()
		serving.Wait()
	})
}

// in looks for sockets in folders, Layotto's and Dapr's.
func in(t *testing.T, tables runtime.Tables, layotto, dapr string) (runtime.Tables, string) {
	t.Helper()
	tables, bad := tables.Discover(t.Context(), func(name string) (string, bool) {
		if name == "DAPR_COMPONENTS_SOCKETS_FOLDER" {
			return dapr, dapr != ""
		}
		return layotto, true
	})
	var text strings.Builder
	for _, b := range bad {
		text.WriteString(b.String() + "\n")
	}
	return tables, text.String()
}

func loadText(t *testing.T, text string, tables runtime.Tables) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ottavo.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, tables.ConfigOptions())
	return cfg, err
}

const pluggableFile = `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  app: {app_id: shop}
  hellos: {mine: {type: greets}}
  custom_component: {robots: {arm: {type: greets, metadata: {speed: 3}}}}
`

// A component in a process of its own is made as any other, one of a user's own kind
// is a connection for clients of its own services.
func TestPluggable(t *testing.T) {
	folder := socketFolder(t)
	p := new(pluggableProcess)
	p.serve(t, filepath.Join(folder, "greets.sock"))
	tables, warnings := in(t, runtime.Tables{}, folder, folder)
	if warnings != "" {
		t.Error(warnings)
	}
	cfg, err := loadText(t, pluggableFile, tables)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := runtime.New(t.Context(), runtime.Options{Config: cfg, Tables: tables})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(t.Context())
	arm, ok := rt.Custom("robots", "arm")
	if !ok {
		t.Fatal("there is no component of the own kind")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	resp, err := hellov1.NewHelloClient(arm.(grpc.ClientConnInterface)).SayHello(ctx, &hellov1.HelloRequest{Name: "eva"})
	if err != nil || resp.GetHelloString() != "pluggable eva" {
		t.Errorf("%v, %v", resp, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.init.GetKind() != "robots" || p.init.GetName() != "arm" || p.init.GetType() != "greets" || p.init.GetAppId() != "shop" || p.init.GetMetadata()["speed"] != "3" {
		t.Errorf("initialised with %v", p.init)
	}
}

// What cannot be decided, or is not there, is an error with the way out.
func TestPluggableMistakes(t *testing.T) {
	greeter := components.Row[hello.Greeter]{Type: "greets", New: func(context.Context, components.Env, components.Config) (hello.Greeter, error) {
		t.Error("the built-in one was made")
		return nil, nil
	}}
	full, other, empty := socketFolder(t), socketFolder(t), socketFolder(t)
	new(pluggableProcess).serve(t, filepath.Join(full, "greets.sock"))
	new(pluggableProcess).serve(t, filepath.Join(other, "greets.socket"))
	if err := os.WriteFile(filepath.Join(empty, "gone.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		tables        runtime.Tables
		layotto, dapr string
		file          string
		want          []string
		warns         string
	}{
		"built in": {
			runtime.Tables{Hellos: []components.Row[hello.Greeter]{greeter}},
			full, empty, "hellos: {mine: {type: greets}}",
			[]string{"runtime.hellos.mine.type", "greets", "is built in", filepath.Join(full, "greets.sock"), "rename"},
			"gone.sock",
		},
		"twice": {
			runtime.Tables{},
			full, other, "hellos: {mine: {type: greets}}",
			[]string{"runtime.hellos.mine.type", filepath.Join(full, "greets.sock"), filepath.Join(other, "greets.socket")},
			"",
		},
		"not there": {
			runtime.Tables{},
			full, empty, "hellos: {mine: {type: nobody}}",
			[]string{`unknown type "nobody"`, "known types: greets", "nobody.sock in " + full + " or " + empty},
			"gone.sock",
		},
		"bad socket": {
			runtime.Tables{},
			full, empty, "hellos: {mine: {type: gone}}",
			[]string{`unknown type "gone"`, filepath.Join(empty, "gone.sock"), "is no socket"},
			"gone.sock",
		},
		"other kind": {
			runtime.Tables{},
			full, "", "lock: {mine: {type: greets}}",
			[]string{`unknown type "greets"`, "no component of this kind", "spec.proto.pluggable.v1.hello.Hello"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tables, warnings := in(t, tt.tables, tt.layotto, tt.dapr)
			if !strings.Contains(warnings, tt.warns) || tt.warns == "" && strings.Contains(warnings, full) {
				t.Errorf("warnings %q, want %q", warnings, tt.warns)
			}
			_, err := loadText(t, "runtime:\n  listen: 127.0.0.1:0\n  "+tt.file+"\n", tables)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nwant %q", err, w)
				}
			}
			// A configuration that uses none of it is good, and what was built in is unchanged.
			if _, err := loadText(t, "runtime:\n  listen: 127.0.0.1:0\n", tables); err != nil {
				t.Error(err)
			}
		})
	}
	if greeter.New == nil {
		t.Error("the caller's rows were changed")
	}
}
