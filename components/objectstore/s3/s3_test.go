package s3_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/s3/s3test"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/objectstoretest"
	"github.com/ottavo-runtime/ottavo/components/objectstore/s3"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backends are the types, their constructors and what they speak.
var backends = []struct {
	typ     string
	make    components.Factory[objectstore.Store]
	dialect string
}{
	{s3.TypeAWS, s3.NewAWS, s3test.Amazon},
	{s3.TypeCeph, s3.NewCompatible, s3test.Amazon},
	{s3.TypeMinIO, s3.NewCompatible, s3test.Amazon},
	{s3.TypeAliyun, s3.NewAliyun, s3test.Aliyun},
	{s3.TypeHuawei, s3.NewHuawei, s3test.Huawei},
}

func open(t testing.TB, newStore components.Factory[objectstore.Store], endpoint, secret string, more map[string]any) objectstore.Store {
	t.Helper()
	m := map[string]any{"basic_config": map[string]any{
		"endpoint": endpoint, "accessKeyID": s3test.AccessKeyID, "accessKeySecret": secret, "region": "eu-x-1",
	}}
	for k, v := range more {
		m[k] = v
	}
	s, err := newStore(t.Context(), components.Env{}, components.Config{Name: "oss", Path: "runtime.oss.oss", Metadata: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// lacks is what gofakes3 does wrong; wire_test.go has tests of it.
var lacks = map[string]map[string]string{
	s3test.Bucket: {
		"cache control": "gofakes3 forgets it", "pages with a delimiter": "gofakes3 repeats prefixes", "pages of parts": "gofakes3 repeats parts",
	},
	s3test.Versioned: {
		"cache control": "gofakes3 forgets it", "pages with a delimiter": "gofakes3 repeats prefixes", "pages of parts": "gofakes3 repeats parts",
		"versions": "gofakes3 loses versions",
	},
}

func TestSuite(t *testing.T) {
	for _, b := range backends {
		t.Run(b.typ, func(t *testing.T) {
			matrix.Backend(t, "objectstore", b.typ)
			server := s3test.New(t, b.dialect)
			buckets, big := []string{s3test.Bucket}, int64(256<<10)
			switch b.typ {
			case s3.TypeAWS:
				buckets = append(buckets, s3test.Versioned)
				fallthrough
			case s3.TypeAliyun:
				big = 6 << 20 // two parts
			}
			for _, bucket := range buckets {
				t.Run(bucket, func(t *testing.T) {
					objectstoretest.Run(t, objectstoretest.Options{
						New: func(t *testing.T) objectstore.Store {
							return open(t, b.make, server.URL, s3test.AccessKeySecret, nil)
						},
						Bucket: bucket, Versioned: bucket == s3test.Versioned, Lacks: lacks[bucket],
						BigSize: big,
					})
				})
			}
		})
	}
}

func head(ctx context.Context, s objectstore.Store, key string) error {
	_, err := s.Head(ctx, &objectstore.HeadRequest{Ref: objectstore.Ref{Bucket: s3test.Bucket, Key: key}})
	return err
}

func put(ctx context.Context, s objectstore.Store, key, content string) error {
	_, err := s.Put(ctx, &objectstore.PutRequest{Bucket: s3test.Bucket, Key: key}, strings.NewReader(content))
	return err
}

func TestWrongCredentials(t *testing.T) {
	for _, b := range backends {
		t.Run(b.typ, func(t *testing.T) {
			server := s3test.New(t, b.dialect)
			const wrong = "not-the-secret"
			s := open(t, b.make, server.URL, wrong, nil)
			err := put(t.Context(), s, "k", "x")
			if !errors.Is(err, objectstore.ErrPermission) || !strings.Contains(err.Error(), "SignatureDoesNotMatch") || strings.Contains(err.Error(), wrong) {
				t.Errorf("Put: %v", err)
			}
			if err := s.(components.Checker).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not accept the credentials") {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func TestServerDownAndBack(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	server.Stop()
	s := open(t, s3.NewAWS, server.URL, s3test.AccessKeySecret, nil) // down at start
	c := s.(components.Checker)
	for range 2 {
		err := put(t.Context(), s, "k", "x")
		if err == nil || !strings.Contains(err.Error(), server.Addr) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Put: %v", err)
		}
		if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), server.Addr) {
			t.Errorf("Check: %v", err)
		}
		server.Start()
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("Check with the server up: %v", err)
		}
		if err := put(t.Context(), s, "k", "x"); err != nil {
			t.Errorf("Put with the server up: %v", err)
		}
		server.Stop() // down later
	}
}

func TestServerFails(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	s := open(t, s3.NewAWS, server.URL, s3test.AccessKeySecret, nil)
	if err := put(t.Context(), s, "k", "x"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		status   int
		code     string
		want     error
		requests int
	}{
		{http.StatusServiceUnavailable, "SlowDown", nil, 3},
		{http.StatusInternalServerError, "InternalError", nil, 3},
		{http.StatusInsufficientStorage, "XMinioStorageFull", objectstore.ErrFull, 1},
		{http.StatusForbidden, "AccessDenied", objectstore.ErrPermission, 1},
		{http.StatusForbidden, "InvalidObjectState", objectstore.ErrPrecondition, 1},
		{http.StatusNotImplemented, "NotImplemented", objectstore.ErrNotSupported, 1},
		{http.StatusBadRequest, "InvalidStorageClass", objectstore.ErrInvalid, 1},
	}
	for _, tt := range tests {
		before := server.Requests()
		server.FailWith(tt.status, tt.code)
		err := put(t.Context(), s, "k", "y")
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.code) || !strings.Contains(err.Error(), "request 42") {
			t.Errorf("%s: %v, want %v", tt.code, err, tt.want)
		}
		if n := server.Requests() - before; n != tt.requests {
			t.Errorf("%s: %d requests, want %d", tt.code, n, tt.requests)
		}
	}
	failed := false
	server.Fail(func(w http.ResponseWriter, _ *http.Request) bool {
		if failed {
			return false
		}
		failed = true
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if err := put(t.Context(), s, "k", "z"); err != nil || !failed {
		t.Errorf("a request that fails once: %v", err)
	}
}

func TestServerIsSlow(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	release := make(chan struct{})
	defer close(release)
	slow := func(w http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	server.Fail(slow)
	s := open(t, s3.NewAWS, server.URL, s3test.AccessKeySecret, map[string]any{"readWriteTimeout": "200ms"})
	start := time.Now()
	err := head(t.Context(), s, "k")
	if err == nil || !strings.Contains(err.Error(), server.Addr) || time.Since(start) > 30*time.Second {
		t.Errorf("Head: %v after %v", err, time.Since(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := head(ctx, s, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Head with a deadline: %v", err)
	}
	// A content that stops in the middle.
	server.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("some"))
		_ = http.NewResponseController(w).Flush()
		return slow(w, r)
	})
	var out *objectstore.GetResult
	testserver.Eventually(t, testserver.Patience, func() (err error) { // the beginning comes within the limit, too
		out, err = s.Get(t.Context(), &objectstore.GetRequest{Ref: objectstore.Ref{Bucket: s3test.Bucket, Key: "k"}})
		return err
	})
	defer func() { _ = out.Body.Close() }()
	start, err = time.Now(), nil
	buf := make([]byte, 10)
	for err == nil {
		_, err = out.Body.Read(buf)
	}
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute {
		t.Errorf("reading: %v after %v", err, time.Since(start))
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		make  components.Factory[objectstore.Store]
		basic map[string]any
		want  string
	}{
		{s3.NewAWS, map[string]any{}, ""},
		{s3.NewAWS, map[string]any{"region": "eu-west-1", "accessKeyID": "x", "accessKeySecret": "y"}, ""},
		{s3.NewCompatible, map[string]any{"endpoint": "ceph.example.com:7480"}, ""},
		{s3.NewAliyun, map[string]any{}, "endpoint is missing"},
		{s3.NewHuawei, map[string]any{"endpoint": "https://obs.example.com", "accessKeyID": "x"}, "must both be there"},
		{s3.NewAWS, map[string]any{"endpoint": "ftp://x"}, "is no URL of a server"},
		{s3.NewAWS, map[string]any{"endpoint": "https://user:secret@host/path"}, "is no URL of a server"},
	}
	for i, tt := range tests {
		s, err := tt.make(t.Context(), components.Env{}, components.Config{Name: "n", Path: "oss.n", Metadata: map[string]any{"basic_config": tt.basic}})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%d: %v", i, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "oss.n.metadata.basic_config")):
			t.Errorf("%d: %v, want %q", i, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "secret@"):
			t.Errorf("%d: the error has the password: %v", i, err)
		case s != nil && err == nil:
			_ = s.Close()
		}
	}
}
