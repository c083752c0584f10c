package contrib_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/dapr/components-contrib/secretstores/hashicorp/vault"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// TestVaultHealth: a token that was withdrawn is told of by health, as soon as a call
// has heard it; a secret that is not for us, or not there, is no illness; and it is not
// asked for at every check.
func TestVaultHealth(t *testing.T) {
	var mu sync.Mutex
	token, asked := "t0ken", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		switch {
		case r.Header.Get("X-Vault-Token") != token, strings.HasSuffix(r.URL.Path, "/others"):
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/mine"):
			_, _ = w.Write([]byte(`{"data": {"data": {"a": "s3cret"}}}`))
		default:
			http.Error(w, `{"errors":[]}`, http.StatusNotFound)
		}
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	s, err := contrib.SecretAt(vault.NewHashiCorpVaultSecretStore, func(map[string]string) []string { return []string{addr} })(
		t.Context(), components.Env{}, components.Config{Name: "s", Path: "runtime.secret_store.s", Metadata: map[string]any{"vaultAddr": server.URL, "vaultToken": token}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing follows
	read := func(key string, works bool) {
		t.Helper()
		if _, err := s.Get(t.Context(), key, nil); (err == nil) != works {
			t.Fatalf("reading %s: %v", key, err)
		}
	}
	check := func(healthy bool, asks int) {
		t.Helper()
		mu.Lock()
		before := asked
		mu.Unlock()
		for range 3 {
			err := s.(components.Checker).Check(t.Context())
			if (err == nil) != healthy || err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken")) {
				t.Fatalf("Check: %v, want healthy: %t", err, healthy)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if asked-before != asks {
			t.Errorf("three checks asked %d times, want %d", asked-before, asks)
		}
	}
	check(true, 0) // nothing was read
	read("others", false)
	check(false, 3) // nothing but what is refused
	read("mine", true)
	check(true, 1)
	read("others", false)
	check(true, 1)
	read("nowhere", false)
	check(true, 0)
	mu.Lock()
	token = "another"
	mu.Unlock()
	read("mine", false)
	check(false, 3)
	mu.Lock()
	token = "t0ken"
	mu.Unlock()
	check(true, 1)
}
