package pluggable_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	objectlocal "github.com/ottavo-runtime/ottavo/components/objectstore/local"
	"github.com/ottavo-runtime/ottavo/components/objectstore/objectstoretest"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	objectstorev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/objectstore"
)

type (
	noObjectStore struct {
		objectstorev1.UnimplementedObjectStoreServer
	}
	// objectServer is initialised; what it does is done by the API itself.
	objectServer struct {
		noObjectStore
		ownInit
	}
)

const bucket = "bucket"

func TestObjectStore(t *testing.T) {
	t.Parallel()
	store := backend(t, objectlocal.New, map[string]any{"root": t.TempDir(), "versioning": true})
	if _, err := store.Put(t.Context(), &objectstore.PutRequest{Bucket: bucket, Key: "first"}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	rows := start(t, func(g *grpc.Server) {
		objectstorev1.RegisterObjectStoreServer(g, &objectServer{})
		layotto.New(layotto.Config{Objects: capability.NewObjects(map[string]objectstore.Store{"mine": store})}).Register(g)
	}).rows().ObjectStores
	objectstoretest.Run(t, objectstoretest.Options{
		New: func(t *testing.T) objectstore.Store { return open(t, rows, nil) }, Bucket: bucket, Versioned: true, BigSize: 3 << 20,
		Lacks: map[string]string{"content type": "the API's PutObject has none", "signed URLs": "a local store has none"},
	})
}

// noObjects lacks everything.
type noObjects struct {
	s3v1.UnimplementedObjectStorageServiceServer
}

// What a process lacks is not supported; one without the service that does the work
// is no object store.
func TestObjectStoreLacks(t *testing.T) {
	t.Parallel()
	p := start(t, func(g *grpc.Server) {
		objectstorev1.RegisterObjectStoreServer(g, &objectServer{})
		s3v1.RegisterObjectStorageServiceServer(g, noObjects{})
	})
	s := open(t, p.rows().ObjectStores, nil)
	defer func() { _ = s.Close() }()
	ctx, ref := t.Context(), objectstore.Ref{Bucket: "b", Key: "k"}
	calls := map[string]func(context.Context) error{
		"append": func(ctx context.Context) error {
			_, err := s.(objectstore.Appender).Append(ctx, &objectstore.AppendRequest{Bucket: "b", Key: "k", Metadata: map[string]string{"a": "b"}}, strings.NewReader("x"))
			return err
		},
		"restore": func(ctx context.Context) error {
			_, err := s.(objectstore.Restorer).Restore(ctx, &objectstore.RestoreRequest{
				Ref: ref, Days: 1, Output: &objectstore.OutputLocation{}, Select: &objectstore.SelectParameters{InputCSV: &objectstore.CSVInput{}, OutputCSV: &objectstore.CSVOutput{}},
			})
			return err
		},
		"put tags": func(ctx context.Context) error { _, err := s.(objectstore.Tagger).PutTags(ctx, ref, nil); return err },
		"put rule": func(ctx context.Context) error {
			_, err := s.(objectstore.RuleWriter).PutACL(ctx, ref, "private")
			return err
		},
		"sign": func(ctx context.Context) error {
			_, err := s.(objectstore.Signer).SignURL(ctx, "b", "k", "GET", 1e9)
			return err
		},
		"versions": func(ctx context.Context) error {
			_, err := s.(objectstore.Versioner).ListVersions(ctx, &objectstore.ListVersionsRequest{Bucket: "b"})
			return err
		},
	}
	for name, call := range calls {
		if err := call(ctx); !errors.Is(err, objectstore.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}

	q := start(t, func(g *grpc.Server) { objectstorev1.RegisterObjectStoreServer(g, &objectServer{}) })
	_, err := tryOpen(t, q.rows().ObjectStores, components.Config{})
	wantError(t, err, q.path, "ObjectStorageService")
}
