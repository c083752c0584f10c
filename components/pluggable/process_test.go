package pluggable_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pluggable"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process plays a component's process: a gRPC server on a unix socket that can be
// killed and started again.
type process struct {
	t        *testing.T
	path     string
	register func(*grpc.Server)
	server   *grpc.Server
	served   sync.WaitGroup
}

// start starts a process with reflection in a folder of its own.
func start(t *testing.T, register func(*grpc.Server)) *process {
	t.Helper()
	// Not t.TempDir: a socket's path may have 108 bytes.
	folder, err := os.MkdirTemp("", "plug")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p := &process{t: t, path: filepath.Join(folder, "demo.sock"), register: register}
	p.up()
	t.Cleanup(p.kill)
	return p
}

func (p *process) up() {
	p.t.Helper()
	listener, err := new(net.ListenConfig).Listen(p.t.Context(), "unix", p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = grpc.NewServer()
	p.register(p.server)
	reflection.Register(p.server)
	p.served.Go(func() { _ = p.server.Serve(listener) })
}

// kill ends the process at once.
func (p *process) kill() {
	p.server.Stop()
	p.served.Wait()
}

// discover finds the process's socket.
func (p *process) discover() pluggable.Socket {
	p.t.Helper()
	sockets, problems := pluggable.Discover(p.t.Context(), []pluggable.Folder{{Path: filepath.Dir(p.path)}})
	if len(sockets) != 1 || len(problems) > 0 {
		p.t.Fatalf("found %v, %v", sockets, problems)
	}
	return sockets[0]
}

// rows returns what the process offers.
func (p *process) rows() pluggable.Rows {
	p.t.Helper()
	rows, known := pluggable.RowsOf(p.discover())
	if !known {
		p.t.Fatal("the process offers nothing that is known")
	}
	return rows
}

// open makes a component of the only row.
func open[T any](t *testing.T, rows []components.Row[T], settings map[string]any) T {
	t.Helper()
	c, err := tryOpen(t, rows, components.Config{Metadata: settings})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryOpen[T any](t *testing.T, rows []components.Row[T], cfg components.Config) (T, error) {
	t.Helper()
	if len(rows) != 1 || rows[0].Type != "demo" {
		t.Fatalf("rows: %+v, want one of the type demo", rows)
	}
	if cfg.Name == "" {
		cfg.Name = "mine"
	}
	cfg.Type, cfg.Path = "demo", "runtime.things.mine"
	return rows[0].New(t.Context(), components.Env{AppID: "app"}, cfg)
}

// daprInit is how Dapr's services are initialised and pinged.
type daprInit struct {
	mu       sync.Mutex
	inits    int
	settings map[string]string
	instance string
	fail     error // of Init and Ping
}

func (d *daprInit) init(ctx context.Context, m *daprv1.MetadataRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inits++
	d.settings = m.GetProperties()
	d.instance = caller(ctx)
	return d.fail
}

func (d *daprInit) Ping(context.Context, *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &daprv1.PingResponse{}, d.fail
}

// caller is the name of the component that calls.
func caller(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(md.Get("x-component-instance"), ",")
}

func (d *daprInit) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inits
}

// ownInit is how our own services are.
type ownInit struct {
	mu       sync.Mutex
	requests []*componentv1.InitRequest
	answer   *componentv1.InitResponse
}

func (o *ownInit) Init(_ context.Context, r *componentv1.InitRequest) (*componentv1.InitResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, r)
	if o.answer == nil {
		return &componentv1.InitResponse{}, nil
	}
	return o.answer, nil
}

func (*ownInit) Ping(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// coded is an error of a backend as a component's process would answer with it.
func coded(err error, known map[error]codes.Code) error {
	if err == nil {
		return nil
	}
	for e, code := range known {
		if errors.Is(err, e) {
			return status.Error(code, err.Error())
		}
	}
	return status.FromContextError(err).Err()
}

// eventually waits until do succeeds.
func eventually(t *testing.T, what string, do func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// wantError wants an error with all of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}
