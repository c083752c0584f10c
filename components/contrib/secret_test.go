package contrib_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/components-contrib/secretstores"
	"github.com/dapr/components-contrib/secretstores/hashicorp/vault"
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/secret/secrettest"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func newSecrets(t *testing.T, make func(logger.Logger) secretstores.SecretStore, metadata map[string]any) secret.Store {
	t.Helper()
	s, err := contrib.Secret(make)(t.Context(), components.Env{}, components.Config{Name: "s", Path: "runtime.secret_store.s", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLocalFile(t *testing.T) {
	matrix.Backend(t, "secret", "local.file")
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"db-user-pass": {"username": "root", "password": "pw"}, "redisPassword": "redis123"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("flat", func(t *testing.T) {
		secrettest.Run(t, secrettest.Options{
			New: func(t *testing.T) secret.Store {
				return newSecrets(t, file.NewLocalSecretStore, map[string]any{"secretsFile": path})
			},
			Secrets: map[string]secret.Secret{
				"redisPassword":         {"redisPassword": "redis123"},
				"db-user-pass:username": {"db-user-pass:username": "root"},
				"db-user-pass:password": {"db-user-pass:password": "pw"},
			},
			Missing: "none",
		})
	})
	t.Run("multiValued", func(t *testing.T) {
		secrettest.Run(t, secrettest.Options{
			New: func(t *testing.T) secret.Store {
				return newSecrets(t, file.NewLocalSecretStore, map[string]any{"secretsFile": path, "multiValued": "true"})
			},
			Secrets: map[string]secret.Secret{
				"redisPassword": {"redisPassword": "redis123"},
				"db-user-pass":  {"username": "root", "password": "pw"},
			},
			Missing: "none",
		})
	})
}

func TestLocalEnv(t *testing.T) {
	matrix.Backend(t, "secret", "local.env")
	t.Setenv("OTTAVO_TEST_A", "a")
	t.Setenv("OTTAVO_TEST_B", "b=c")
	secrettest.Run(t, secrettest.Options{
		New: func(t *testing.T) secret.Store {
			return newSecrets(t, env.NewEnvSecretStore, map[string]any{"prefix": "OTTAVO_TEST_"})
		},
		Secrets: map[string]secret.Secret{"A": {"A": "a"}, "B": {"B": "b=c"}},
		Missing: "C", MissingIsEmpty: true,
	})
}

// vaultServer answers what the key-value engine of Vault answers to reads.
func vaultServer(t *testing.T, token string, secrets map[string]map[string]string) (*httptest.Server, *atomic.Bool) {
	t.Helper()
	var sealed atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, isData := strings.CutPrefix(r.URL.Path, "/v1/secret/data/dapr/")
		switch {
		case sealed.Load():
			http.Error(w, `{"errors":["Vault is sealed"]}`, http.StatusServiceUnavailable)
		case r.Header.Get("X-Vault-Token") != token:
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		case isData && secrets[key] != nil:
			_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"data": secrets[key]}})
		case strings.HasPrefix(r.URL.Path, "/v1/secret/metadata/dapr"):
			keys := make([]string, 0, len(secrets))
			for k := range secrets {
				keys = append(keys, k)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"keys": keys}})
		default:
			http.Error(w, `{"errors":[]}`, http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s, &sealed
}

func TestVault(t *testing.T) {
	matrix.Backend(t, "secret", "hashicorp.vault")
	s, sealed := vaultServer(t, "good", map[string]map[string]string{"a": {"user": "root", "pass": "pw"}, "b": {"b": "1"}})
	open := func(t *testing.T, token string) secret.Store {
		return newSecrets(t, vault.NewHashiCorpVaultSecretStore, map[string]any{"vaultAddr": s.URL, "vaultToken": token})
	}
	secrettest.Run(t, secrettest.Options{
		New:     func(t *testing.T) secret.Store { return open(t, "good") },
		Secrets: map[string]secret.Secret{"a": {"user": "root", "pass": "pw"}, "b": {"b": "1"}},
		Missing: "c",
	})
	t.Run("wrong token", func(t *testing.T) {
		_, err := open(t, "bad-token-0815").Get(t.Context(), "a", nil)
		if err == nil || strings.Contains(err.Error(), "bad-token-0815") {
			t.Errorf("error %v, want one that does not hold the token", err)
		}
	})
	t.Run("away and back", func(t *testing.T) {
		v := open(t, "good")
		sealed.Store(true)
		if _, err := v.Get(t.Context(), "a", nil); err == nil {
			t.Error("no error from a sealed vault")
		}
		sealed.Store(false)
		if _, err := v.Get(t.Context(), "a", nil); err != nil {
			t.Errorf("after it was opened again: %v", err)
		}
	})
}

// What cannot be made says why, and a key that the backend does not know is warned of.
func TestSecretMistakes(t *testing.T) {
	var warned []decode.Problem
	cfg := components.Config{
		Name: "s", Path: "runtime.secret_store.s", Metadata: map[string]any{"secretsFile": "/does/not/exist.json", "secretFile": "x"},
		Warn: func(p decode.Problem) { warned = append(warned, p) },
	}
	_, err := contrib.Secret(file.NewLocalSecretStore)(t.Context(), components.Env{}, cfg)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/does/not/exist.json") {
		t.Errorf("error %v, want the name of the file", err)
	}
	if len(warned) != 1 || warned[0].Path != "runtime.secret_store.s.metadata.secretFile" || !strings.Contains(strings.ToLower(warned[0].Remedy), `"secretsfile"`) {
		t.Errorf("warnings %v", warned)
	}
}

// stuck is a store that heeds no context, and panics.
type stuck struct {
	secretstores.SecretStore
	release chan struct{}
}

func (s *stuck) Init(context.Context, secretstores.Metadata) error { return nil }
func (s *stuck) Close() error                                      { return nil }

func (s *stuck) GetSecret(_ context.Context, req secretstores.GetSecretRequest) (secretstores.GetSecretResponse, error) {
	if req.Name == "panic" {
		panic("at the disco")
	}
	<-s.release
	return secretstores.GetSecretResponse{}, nil
}

func TestBadBackend(t *testing.T) {
	b := &stuck{release: make(chan struct{})}
	defer close(b.release)
	s := newSecrets(t, func(logger.Logger) secretstores.SecretStore { return b }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Get(ctx, "panic", nil); err == nil || !strings.Contains(err.Error(), "at the disco") {
		t.Errorf("a panic became %v", err)
	}
	got := make(chan error)
	go func() { _, err := s.Get(ctx, "slow", nil); got <- err }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a backend that heeds no context: %v", err)
	}
}

// A call without a deadline ends, too, and its error is not that of a context.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stuck{release: make(chan struct{})}
		defer close(b.release)
		s := newSecrets(t, func(logger.Logger) secretstores.SecretStore { return b }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begin := time.Now()
		_, err := s.Get(ctx, "slow", nil)
		if took := time.Since(begin); took != 30*time.Second || err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "30s") {
			t.Errorf("after %s: %v", took, err)
		}
	})
}
