package s3_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	cos "github.com/tencentyun/cos-go-sdk-v5"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/filetest"
	"github.com/ottavo-runtime/ottavo/components/file/s3"
	"github.com/ottavo-runtime/ottavo/components/internal/s3/s3test"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func account(server *s3test.Server) map[string]any {
	return map[string]any{"endpoint": server.URL, "accessKeyID": s3test.AccessKeyID, "accessKeySecret": s3test.AccessKeySecret, "region": "eu-x-1"}
}

func open(t testing.TB, newStore components.Factory[file.Store], metadata map[string]any) file.Store {
	t.Helper()
	s, err := newStore(t.Context(), components.Env{}, components.Config{Name: "files", Path: "runtime.file.files", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	for _, b := range []struct {
		typ     string
		make    components.Factory[file.Store]
		dialect string
		bucket  string
		opts    []s3test.Option
	}{
		{s3.TypeMinIO, s3.NewMinIO, s3test.Amazon, s3test.Bucket, nil},
		{s3.TypeAWS, s3.NewAWS, s3test.Amazon, s3test.Bucket, nil},
		{s3.TypeAliyun, s3.NewAliyun, s3test.Aliyun, s3test.Bucket, nil},
		{s3.TypeTencent, s3.NewTencent, s3test.Tencent, "", []s3test.Option{s3test.BucketHost(s3test.Bucket)}},
	} {
		t.Run(b.typ, func(t *testing.T) {
			matrix.Backend(t, "file", b.typ)
			server := s3test.New(t, b.dialect, b.opts...)
			filetest.Run(t, filetest.Options{
				New:    func(t *testing.T) file.Store { return open(t, b.make, account(server)) },
				Bucket: b.bucket, DeletesSilently: true, BigSize: 6 << 20,
			})
		})
	}
}

func put(ctx context.Context, s file.Store, name, content string, metadata map[string]string) error {
	return s.Put(ctx, name, metadata, strings.NewReader(content))
}

// TestAccounts: a list of accounts, as Layotto's files have it, of which a call
// chooses one.
func TestAccounts(t *testing.T) {
	one, two := s3test.New(t, s3test.Amazon), s3test.New(t, s3test.Amazon)
	s := open(t, s3.NewMinIO, map[string]any{"clients": []any{account(one), account(two)}})
	ctx := t.Context()
	if err := put(ctx, s, "bucket/f", "x", nil); !errors.Is(err, file.ErrInvalid) || !strings.Contains(err.Error(), two.URL) {
		t.Errorf("Put without an endpoint: %v", err)
	}
	if err := put(ctx, s, "bucket/f", "x", map[string]string{"endpoint": two.URL}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, "bucket/f", map[string]string{"endpoint": one.URL}); !errors.Is(err, file.ErrNotFound) {
		t.Errorf("Stat at the other: %v", err)
	}
	if _, err := s.Stat(ctx, "bucket/f", map[string]string{"endpoint": two.URL}); err != nil {
		t.Errorf("Stat: %v", err)
	}
	one.Stop()
	if err := s.(components.Checker).Check(ctx); err == nil || !strings.Contains(err.Error(), one.Addr) || strings.Contains(err.Error(), two.Addr) {
		t.Errorf("Check with one of them down: %v", err)
	}
	one.Start()
	if err := s.(components.Checker).Check(ctx); err != nil {
		t.Errorf("Check: %v", err)
	}
	_, err := s3.NewMinIO(ctx, components.Env{}, components.Config{Path: "file.f", Metadata: map[string]any{"clients": []any{account(one), account(one)}}})
	if err == nil || !strings.Contains(err.Error(), "file.f.metadata[1]") || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one endpoint twice: %v", err)
	}
}

func TestMetadataOfPut(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	s := open(t, s3.NewAWS, account(server))
	var got http.Header
	server.Fail(func(_ http.ResponseWriter, r *http.Request) bool { got = r.Header.Clone(); return false })
	m := map[string]string{"storageType": "GLACIER", "ACL": "public-read", "content-type": "text/x", "fileSize": "1"}
	if err := put(t.Context(), s, "bucket/f", "x", m); err != nil {
		t.Fatal(err)
	}
	if got.Get("X-Amz-Storage-Class") != "GLACIER" || got.Get("X-Amz-Acl") != "public-read" || got.Get("Content-Type") != "text/x" {
		t.Errorf("headers: %v", got)
	}
	for _, size := range []string{"2", "x"} {
		if err := put(t.Context(), s, "bucket/f", "x", map[string]string{"fileSize": size}); !errors.Is(err, file.ErrInvalid) {
			t.Errorf("fileSize %s: %v", size, err)
		}
	}
	for _, name := range []string{"bucket", "bucket/", "/"} {
		if err := put(t.Context(), s, name, "x", nil); !errors.Is(err, file.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestFaults(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	a := account(server)
	a["accessKeySecret"] = "wrong-secret"
	s := open(t, s3.NewMinIO, a)
	if err := put(t.Context(), s, "bucket/f", "x", nil); !errors.Is(err, file.ErrPermission) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong credentials: %v", err)
	}
	if err := s.(components.Checker).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("Check with wrong credentials: %v", err)
	}
	s = open(t, s3.NewMinIO, account(server))
	server.FailWith(http.StatusInsufficientStorage, "XMinioStorageFull")
	if err := put(t.Context(), s, "bucket/f", "x", nil); !errors.Is(err, file.ErrFull) {
		t.Errorf("full: %v", err)
	}
	server.Fail(nil)
	server.Stop()
	if err := put(t.Context(), s, "bucket/f", "x", nil); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	server.Start()
	if err := put(t.Context(), s, "bucket/f", "x", nil); err != nil {
		t.Errorf("up again: %v", err)
	}
}

// TestPeerTencent: the vendor's own client speaks to the server that our store is
// tested with, which shows that it checks what COS checks.
func TestPeerTencent(t *testing.T) {
	server := s3test.New(t, s3test.Tencent, s3test.BucketHost(s3test.Bucket))
	s := open(t, s3.NewTencent, account(server))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: s3test.AccessKeyID, SecretKey: s3test.AccessKeySecret, Transport: transport,
	}})
	c.Conf.EnableCRC = false
	const key = "folder/ä b+c"
	if _, err := c.Object.Put(t.Context(), key, strings.NewReader("by the peer"), nil); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil || string(data) != "by the peer" {
		t.Errorf("we read %q, %v", data, err)
	}
	if err := put(t.Context(), s, key+"2", "by us", nil); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Object.Get(t.Context(), key+"2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if data, err := io.ReadAll(resp.Body); err != nil || string(data) != "by us" {
		t.Errorf("the peer reads %q, %v", data, err)
	}
	list, _, err := c.Bucket.Get(t.Context(), &cos.BucketGetOptions{Prefix: "folder/"})
	if err != nil || len(list.Contents) != 2 {
		t.Errorf("the peer lists %+v, %v", list, err)
	}
}
