package pluggable_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	configurationmemory "github.com/ottavo-runtime/ottavo/components/configuration/memory"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/filetest"
	filelocal "github.com/ottavo-runtime/ottavo/components/file/local"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	configurationv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/configuration"
	filev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/file"
)

type (
	noConfiguration struct {
		configurationv1.UnimplementedConfigurationServer
	}
	noFile struct{ filev1.UnimplementedFileServer }
)

// configurationServer keeps a store for each component, by its name.
type configurationServer struct {
	noConfiguration
	ownInit
	t      *testing.T
	mu     sync.Mutex
	stores map[string]configuration.Store
}

func (s *configurationServer) store(ctx context.Context) configuration.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := caller(ctx)
	if s.stores[name] == nil {
		s.stores[name] = backend(s.t, configurationmemory.New, nil)
	}
	return s.stores[name]
}

func (s *configurationServer) Init(ctx context.Context, r *componentv1.InitRequest) (*componentv1.InitResponse, error) {
	group, label := s.store(ctx).Defaults()
	_, err := s.ownInit.Init(ctx, r)
	return &componentv1.InitResponse{Properties: map[string]string{"group": group, "label": label}}, err
}

var configurationCodes = map[error]codes.Code{configuration.ErrInvalid: codes.InvalidArgument, configuration.ErrNotSupported: codes.Unimplemented}

func toScope(s *configurationv1.Scope) configuration.Scope {
	return configuration.Scope{AppID: s.GetAppId(), Group: s.GetGroup(), Label: s.GetLabel(), Metadata: s.GetMetadata()}
}

func fromItems(items []configuration.Item) []*configurationv1.Item {
	var out []*configurationv1.Item
	for _, i := range items {
		out = append(out, &configurationv1.Item{
			Key: i.Key, Content: i.Content, Group: i.Group, Label: i.Label, Tags: i.Tags, Metadata: i.Metadata, Deleted: i.Deleted,
		})
	}
	return out
}

func (s *configurationServer) Get(ctx context.Context, r *configurationv1.GetRequest) (*configurationv1.GetResponse, error) {
	items, err := s.store(ctx).Get(ctx, toScope(r.GetScope()), r.GetKeys())
	return &configurationv1.GetResponse{Items: fromItems(items)}, coded(err, configurationCodes)
}

func (s *configurationServer) Save(ctx context.Context, r *configurationv1.SaveRequest) (*configurationv1.SaveResponse, error) {
	var items []configuration.Item
	for _, i := range r.GetItems() {
		items = append(items, configuration.Item{Key: i.GetKey(), Content: i.GetContent(), Group: i.GetGroup(), Label: i.GetLabel(), Tags: i.GetTags(), Metadata: i.GetMetadata()})
	}
	return &configurationv1.SaveResponse{}, coded(s.store(ctx).Save(ctx, r.GetAppId(), items, r.GetMetadata()), configurationCodes)
}

func (s *configurationServer) Delete(ctx context.Context, r *configurationv1.DeleteRequest) (*configurationv1.DeleteResponse, error) {
	return &configurationv1.DeleteResponse{}, coded(s.store(ctx).Delete(ctx, toScope(r.GetScope()), r.GetKeys()), configurationCodes)
}

func (s *configurationServer) Watch(r *configurationv1.WatchRequest, stream grpc.ServerStreamingServer[configurationv1.WatchResponse]) error {
	ctx := stream.Context()
	return coded(s.store(ctx).Watch(ctx, toScope(r.GetScope()), r.GetKeys(), func(c configuration.Change) error {
		return stream.Send(&configurationv1.WatchResponse{Items: fromItems(c.Items)})
	}), configurationCodes)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	server := &configurationServer{t: t, stores: make(map[string]configuration.Store)}
	rows := start(t, func(g *grpc.Server) { configurationv1.RegisterConfigurationServer(g, server) }).rows().Configurations
	configurationtest.Run(t, configurationtest.Options{New: func(t *testing.T) configuration.Store {
		s, err := tryOpen(t, rows, components.Config{Name: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

// A watch tells after a restart what it missed meanwhile, and nothing else.
func TestConfigurationRestart(t *testing.T) {
	t.Parallel()
	server := &configurationServer{t: t, stores: make(map[string]configuration.Store)}
	p := start(t, func(g *grpc.Server) { configurationv1.RegisterConfigurationServer(g, server) })
	s, err := tryOpen(t, p.rows().Configurations, components.Config{Rest: map[string]any{"address": []string{"a", "b"}, "timeout": "3"}})
	if err != nil {
		t.Fatal(err)
	}
	server.ownInit.mu.Lock()
	if m := server.requests[0].GetMetadata(); m["address"] != "a,b" || m["timeout"] != "3" {
		t.Errorf("initialised with %v", m)
	}
	server.ownInit.mu.Unlock()
	behind := server.stores["mine"]
	save := func(key, content string) {
		t.Helper()
		if err := behind.Save(t.Context(), "app", []configuration.Item{{Key: key, Content: content}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	save("stays", "1")
	save("changes", "1")
	save("goes", "1")
	changes := make(chan configuration.Change, 10)
	watched := make(chan error, 1)
	go func() {
		watched <- s.Watch(t.Context(), configuration.Scope{AppID: "app"}, nil, func(c configuration.Change) error {
			changes <- c
			return nil
		})
	}()
	if c := <-changes; !c.Initial || len(c.Items) != 3 {
		t.Fatalf("%+v", c)
	}
	p.kill()
	save("changes", "2")
	save("new", "1")
	if err := behind.Delete(t.Context(), configuration.Scope{AppID: "app"}, []string{"goes"}); err != nil {
		t.Fatal(err)
	}
	p.up()
	c := <-changes
	var got []string
	for _, i := range c.Items {
		if i.Deleted {
			i.Content = "deleted"
		}
		got = append(got, i.Key+"="+i.Content)
	}
	if c.Initial || strings.Join(got, " ") != "changes=2 goes=deleted new=1" {
		t.Errorf("after the gap: %+v", c)
	}
	save("new", "2")
	if c := <-changes; len(c.Items) != 1 || c.Items[0].Content != "2" {
		t.Errorf("%+v", c)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-watched; !errors.Is(err, configuration.ErrClosed) {
		t.Error(err)
	}
}

type fileServer struct {
	noFile
	ownInit
	store file.Store
}

var fileCodes = map[error]codes.Code{
	file.ErrInvalid: codes.InvalidArgument, file.ErrNotFound: codes.NotFound, file.ErrExists: codes.AlreadyExists, file.ErrExpired: codes.FailedPrecondition,
	file.ErrPermission: codes.PermissionDenied, file.ErrFull: codes.ResourceExhausted,
}

// pieces reads what is streamed to us.
type pieces struct {
	stream grpc.ClientStreamingServer[filev1.PutRequest, filev1.PutResponse]
	rest   []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		m, err := p.stream.Recv()
		if err != nil {
			return 0, err
		}
		p.rest = m.GetData()
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (s *fileServer) Put(stream grpc.ClientStreamingServer[filev1.PutRequest, filev1.PutResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := s.store.Put(stream.Context(), first.GetName(), first.GetMetadata(), &pieces{stream, first.GetData()}); err != nil {
		return coded(err, fileCodes)
	}
	return stream.SendAndClose(&filev1.PutResponse{})
}

func (s *fileServer) Get(r *filev1.GetRequest, stream grpc.ServerStreamingServer[filev1.GetResponse]) error {
	f, err := s.store.Get(stream.Context(), r.GetName(), r.GetMetadata())
	if err != nil {
		return coded(err, fileCodes)
	}
	defer func() { _ = f.Close() }()
	if err := stream.Send(&filev1.GetResponse{}); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := stream.Send(&filev1.GetResponse{Data: bytes.Clone(buf[:n])}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return coded(err, fileCodes)
		}
	}
}

func fromInfo(i file.Info) *filev1.Info {
	out := &filev1.Info{Name: i.Name, Size: i.Size, LastModified: timestamppb.New(i.LastModified), Metadata: map[string]*filev1.Values{}}
	for k, v := range i.Metadata {
		out.Metadata[k] = &filev1.Values{Values: v}
	}
	return out
}

func (s *fileServer) List(ctx context.Context, r *filev1.ListRequest) (*filev1.ListResponse, error) {
	list, err := s.store.List(ctx, r.GetName(), r.GetMetadata(), file.Page{Size: int(r.GetSize()), Marker: r.GetMarker()})
	if err != nil {
		return nil, coded(err, fileCodes)
	}
	out := &filev1.ListResponse{Marker: list.Marker, Truncated: list.Truncated}
	for _, f := range list.Files {
		out.Files = append(out.Files, fromInfo(f))
	}
	return out, nil
}

func (s *fileServer) Delete(ctx context.Context, r *filev1.DeleteRequest) (*filev1.DeleteResponse, error) {
	return &filev1.DeleteResponse{}, coded(s.store.Delete(ctx, r.GetName(), r.GetMetadata()), fileCodes)
}

func (s *fileServer) Stat(ctx context.Context, r *filev1.StatRequest) (*filev1.StatResponse, error) {
	info, err := s.store.Stat(ctx, r.GetName(), r.GetMetadata())
	if err != nil {
		return nil, coded(err, fileCodes)
	}
	return &filev1.StatResponse{Info: fromInfo(*info)}, nil
}

func TestFile(t *testing.T) {
	t.Parallel()
	server := &fileServer{store: backend(t, filelocal.New, nil)}
	rows := start(t, func(g *grpc.Server) { filev1.RegisterFileServer(g, server) }).rows().Files
	filetest.Run(t, filetest.Options{New: func(t *testing.T) file.Store { return open(t, rows, nil) }, BigSize: 3 << 20})
}
