package qiniu_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/filetest"
	"github.com/ottavo-runtime/ottavo/components/file/qiniu"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// account is the configuration of one account, in which change sets other values.
func account(f *fake, change map[string]any) map[string]any {
	m := map[string]any{
		"endpoint": f.url, "accessKeyID": "key-id", "accessKeySecret": "key-secret", "bucket": bucket, "private": "true", "ucHost": f.url,
	}
	for k, v := range change {
		m[k] = v
	}
	return m
}

func open(t testing.TB, metadata map[string]any) file.Store {
	t.Helper()
	s, err := qiniu.New(t.Context(), components.Env{}, components.Config{Name: "files", Path: "runtime.file.files", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "file", qiniu.Type)
	f := newFake(t)
	filetest.Run(t, filetest.Options{
		New:     func(t *testing.T) file.Store { return open(t, account(f, nil)) },
		BigSize: 9 << 20,
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.uploads) > 0 {
		t.Errorf("%d uploads are still under way", len(f.uploads))
	}
}

func put(t *testing.T, s file.Store, metadata map[string]string) error {
	t.Helper()
	return s.Put(t.Context(), "d/f", metadata, strings.NewReader("12345"))
}

func TestListOfOneAccount(t *testing.T) {
	f := newFake(t)
	s := open(t, map[string]any{"clients": []any{account(f, nil)}})
	for range 3 {
		if err := put(t, s, map[string]string{"filesize": "5", "content-type": "text/x"}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := s.Stat(t.Context(), "d/f", nil)
	if err != nil || info.Metadata["mimeType"][0] != "text/x" {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	if f.queries != 1 {
		t.Errorf("asked %d times for the servers", f.queries)
	}
	for _, size := range []string{"4", "many"} {
		if err := put(t, s, map[string]string{"filesize": size}); !errors.Is(err, file.ErrInvalid) {
			t.Errorf("filesize %s: %v", size, err)
		}
	}
}

func TestConfig(t *testing.T) {
	f := newFake(t)
	for want, m := range map[string]map[string]any{
		"several accounts":              {"clients": []any{account(f, nil), account(f, nil)}},
		"file.f.metadata.bucket":        account(f, map[string]any{"bucket": ""}),
		"file.f.metadata.endpoint":      account(f, map[string]any{"endpoint": ""}),
		"file.f.metadata.accessKeyID":   account(f, map[string]any{"accessKeyID": ""}),
		"accessKeySecret: is missing (": account(f, map[string]any{"accessKeySecret": ""}),
	} {
		_, err := qiniu.New(t.Context(), components.Env{}, components.Config{Name: "f", Path: "file.f", Metadata: m})
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, " (")) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestFaults(t *testing.T) {
	f := newFake(t)
	s := open(t, account(f, map[string]any{"accessKeySecret": "wrong-secret"}))
	if err := put(t, s, nil); !errors.Is(err, file.ErrPermission) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong credentials: %v", err)
	}
	if err := s.(components.Checker).Check(t.Context()); !errors.Is(err, file.ErrPermission) {
		t.Errorf("Check with wrong credentials: %v", err)
	}
	if _, err := s.Get(t.Context(), "d/f", nil); !errors.Is(err, file.ErrPermission) {
		t.Errorf("Get with wrong credentials: %v", err)
	}

	f.stop()
	s = open(t, account(f, nil)) // down at start
	if err := put(t, s, nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("down: %v", err)
	}
	if err := s.(components.Checker).Check(t.Context()); err == nil {
		t.Error("Check finds no fault with a server that is down")
	}
	f.start()
	if err := put(t, s, nil); err != nil {
		t.Errorf("up: %v", err)
	}
	if err := s.(components.Checker).Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	f.setFail(http.StatusServiceUnavailable)
	if err := put(t, s, nil); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "request 42") {
		t.Errorf("failing: %v", err)
	}
	f.setFail(0)
	if err := put(t, s, nil); err != nil {
		t.Errorf("well again: %v", err)
	}
}
