package pluggable_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pluggable"
	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
)

// helloServer is a component as Layotto has it.
type helloServer struct {
	hellov1.UnimplementedHelloServer
	mu   sync.Mutex
	init *hellov1.HelloConfig
	fail error
	hang bool
}

func (h *helloServer) register(g *grpc.Server) { hellov1.RegisterHelloServer(g, h) }

func (h *helloServer) Init(ctx context.Context, c *hellov1.HelloConfig) (*emptypb.Empty, error) {
	if h.hang {
		<-ctx.Done()
		return nil, ctx.Err() // its time may be over a moment before the caller's
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.init = c
	return &emptypb.Empty{}, h.fail
}

func (h *helloServer) SayHello(_ context.Context, r *hellov1.HelloRequest) (*hellov1.HelloResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &hellov1.HelloResponse{HelloString: h.init.GetHelloString() + ", " + r.GetName()}, nil
}

func TestHello(t *testing.T) {
	server := new(helloServer)
	p := start(t, server.register)
	g, err := tryOpen(t, p.rows().Hellos, components.Config{
		Metadata: map[string]any{"token": "123"}, Rest: map[string]any{"hello": "hi"},
		Refs: components.Refs{SecretStore: "vault", Secrets: []components.SecretRef{{StoreName: "s", Key: "k", SubKey: "u", InjectAs: "i"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	closer := g.(io.Closer)
	if text, err := g.Hello(t.Context(), "eva"); err != nil || text != "hi, eva" {
		t.Errorf("%q, %v", text, err)
	}
	server.mu.Lock()
	ref := server.init.GetConfig().GetSecretRef()
	if server.init.GetType() != "demo" || server.init.GetMetadata()["token"] != "123" || server.init.GetConfig().GetComponentRef().GetSecretStore() != "vault" ||
		len(ref) != 1 || ref[0].GetStoreName() != "s" || ref[0].GetKey() != "k" || ref[0].GetSubKey() != "u" || ref[0].GetInjectAs() != "i" {
		t.Errorf("initialised with %v", server.init)
	}
	server.mu.Unlock()
	for range 2 {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := g.Hello(t.Context(), "eva"); err == nil {
		t.Error("a closed component greets")
	}

	server.mu.Lock()
	server.fail = status.Error(codes.InvalidArgument, "token is wrong")
	server.mu.Unlock()
	_, err = tryOpen(t, p.rows().Hellos, components.Config{})
	wantError(t, err, p.path, "InvalidArgument", "token is wrong")
}

// A process that accepts and is silent when it is initialised keeps nobody.
func TestInitTakesTooLong(t *testing.T) {
	t.Parallel()
	p := start(t, (&helloServer{hang: true}).register)
	rows := p.rows().Hellos
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := rows[0].New(ctx, components.Env{}, components.Config{Name: "x"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is up: %v", err)
	}
	_, err = tryOpen(t, rows, components.Config{})
	wantError(t, err, p.path, "within 5s")
}

// alphaServer knows the old reflection only.
type alphaServer struct {
	reflectionv1alpha.UnimplementedServerReflectionServer
}

func (alphaServer) ServerReflectionInfo(s reflectionv1alpha.ServerReflection_ServerReflectionInfoServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	//nolint:staticcheck // it is about the old reflection
	return s.Send(&reflectionv1alpha.ServerReflectionResponse{MessageResponse: &reflectionv1alpha.ServerReflectionResponse_ListServicesResponse{
		ListServicesResponse: &reflectionv1alpha.ListServiceResponse{Service: []*reflectionv1alpha.ServiceResponse{{Name: "b.B"}, {Name: "a.A"}, {Name: "a.A"}}},
	}})
}

// listen serves connections at a path, each by do, until the test ends.
func listen(t *testing.T, path string, do func(net.Conn)) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				do(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
}

func serveGRPC(t *testing.T, path string, register func(*grpc.Server)) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() {
		g.Stop()
		serving.Wait()
	})
}

// Sockets that are no components, or bad ones, are named and keep no other from
// being found.
func TestDiscover(t *testing.T) {
	t.Parallel()
	good := start(t, new(helloServer).register)
	folder := filepath.Dir(good.path)
	in := func(name string) string { return filepath.Join(folder, name) }

	serveGRPC(t, in("alpha.v2.sock"), func(g *grpc.Server) { reflectionv1alpha.RegisterServerReflectionServer(g, alphaServer{}) })
	serveGRPC(t, in("noreflection.sock"), new(helloServer).register)
	listen(t, in("closes"), func(net.Conn) {})
	listen(t, in("garbage"), func(c net.Conn) {
		_, _ = c.Write([]byte(strings.Repeat("HTTP/1.1 400 what?\r\n\r\n", 1000)))
		_, _ = io.Copy(io.Discard, c)
	})
	// Frames that say they have 16 MiB.
	listen(t, in("huge"), func(c net.Conn) {
		_, _ = c.Write(append([]byte("\xff\xff\xff\x00\x00\x00\x00\x00\x01"), make([]byte, 1<<20)...))
		_, _ = io.Copy(io.Discard, c)
	})
	listen(t, in("silent"), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	if err := os.WriteFile(in("readme.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: in("stale.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	listen(t, in(".sock"), func(net.Conn) {})

	began := time.Now()
	sockets, problems := pluggable.Discover(t.Context(), []pluggable.Folder{
		{Path: folder}, {Path: in("nothing")}, {Path: in("missing"), Env: "DAPR_COMPONENTS_SOCKETS_FOLDER"},
	})
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(sockets) != 2 || sockets[0].Type != "alpha.v2" || sockets[1].Type != "demo" || !slices.Equal(sockets[0].Services, []string{"a.A", "b.B"}) ||
		!slices.Contains(sockets[1].Services, "spec.proto.pluggable.v1.hello.Hello") {
		t.Errorf("found %+v", sockets)
	}
	if _, known := pluggable.RowsOf(sockets[0]); known {
		t.Error("a process that serves nothing of ours is known")
	}
	want := map[string]string{
		".sock": "no name", "closes": "does not say what it serves", "garbage": "does not say what it serves", "huge": "does not say what it serves",
		"silent": "did not say within 5s", "readme.txt": "is no socket", "stale.sock": "nobody listens", "noreflection.sock": "reflection",
		"missing": "DAPR_COMPONENTS_SOCKETS_FOLDER",
	}
	for _, p := range problems {
		name := filepath.Base(p.Path)
		if w := want[name]; w == "" || !strings.Contains(p.Err.Error(), w) {
			t.Errorf("%s: %v, want %q", p.Path, p.Err, w)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s: no problem", name)
	}
}

func TestFolders(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want []pluggable.Folder
	}{
		{nil, []pluggable.Folder{{Path: "/tmp/runtime/component-sockets"}, {Path: "/tmp/dapr-components-sockets"}}},
		{
			map[string]string{"LAYOTTO_COMPONENTS_SOCKETS_FOLDER": "/a", "LAYOTTO_COMPONETS_SOCKETS_FOLDER": "/b", "DAPR_COMPONENTS_SOCKETS_FOLDER": "/c"},
			[]pluggable.Folder{{"/a", "LAYOTTO_COMPONENTS_SOCKETS_FOLDER"}, {"/c", "DAPR_COMPONENTS_SOCKETS_FOLDER"}},
		},
		{
			map[string]string{"LAYOTTO_COMPONETS_SOCKETS_FOLDER": "/b", "DAPR_COMPONENTS_SOCKETS_FOLDER": "/b/"},
			[]pluggable.Folder{{"/b", "LAYOTTO_COMPONETS_SOCKETS_FOLDER"}},
		},
	} {
		got := pluggable.Folders(func(name string) (string, bool) {
			v, ok := tt.env[name]
			return v, ok
		})
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.env, got, tt.want)
		}
	}
}
