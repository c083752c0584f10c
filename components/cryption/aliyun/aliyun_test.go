package aliyun_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/cryption/aliyun"
	"github.com/ottavo-runtime/ottavo/components/cryption/cryptiontest"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi/cloudapitest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func open(t *testing.T, server *cloudapitest.Server, changes map[string]any) (cryption.Cipher, error) {
	t.Helper()
	metadata := map[string]any{
		"accessKeyID": cloudapitest.KeyID, "accessKeySecret": cloudapitest.KeySecret, "region": "us-east-1", "KeyID": "a", "endpoint": server.URL,
	}
	for k, v := range changes {
		metadata[k] = v
	}
	return aliyun.New(t.Context(), components.Env{}, components.Config{Name: "c", Path: "runtime.cryption.c", Metadata: metadata})
}

func newServer(t *testing.T) *cloudapitest.Server {
	return cloudapitest.Aliyun(t, "2016-01-20", cloudapitest.KMS("Forbidden.KeyNotFound", "InvalidCiphertext", "a", "b"))
}

// The service is a stand-in that checks signatures; there is none of the vendor's
// to be had here.
func TestSuite(t *testing.T) {
	matrix.Backend(t, "cryption", aliyun.Type)
	server := newServer(t)
	cryptiontest.Run(t, cryptiontest.Options{
		New: func(t *testing.T) cryption.Cipher {
			c, err := open(t, server, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		KeyID: "a", Other: "b", MaxPlain: 4096,
	})
}

func TestFaults(t *testing.T) {
	server := newServer(t)
	for _, missing := range []string{"accessKeyID", "accessKeySecret", "region"} {
		if _, err := open(t, server, map[string]any{missing: "", "endpoint": ""}); err == nil || !strings.Contains(err.Error(), "runtime.cryption.c.metadata."+missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	wrong, err := open(t, server, map[string]any{"accessKeySecret": "not-the-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wrong.Close() })
	if _, err := wrong.Encrypt(t.Context(), []byte("x"), ""); err == nil || !strings.Contains(strings.ToLower(err.Error()), "signature") || strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("a wrong secret: %v", err)
	}
	good, err := open(t, server, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = good.Close() })
	server.Down.Store(true)
	if _, err := good.Encrypt(t.Context(), []byte("x"), ""); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a service that is down: %v", err)
	}
	server.Down.Store(false)
	if _, err := good.Encrypt(t.Context(), []byte("x"), ""); err != nil {
		t.Errorf("the service is back, but: %v", err)
	}
	gone, err := open(t, server, map[string]any{"endpoint": "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gone.Close() })
	if _, err := gone.Encrypt(t.Context(), []byte("x"), ""); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}
