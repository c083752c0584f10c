package local_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/cryption/cryptiontest"
	"github.com/ottavo-runtime/ottavo/components/cryption/local"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

// Two keys of 32 bytes.
const keys = `{"a": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "b": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}`

func open(t testing.TB, dir string, metadata map[string]any) (cryption.Cipher, error) {
	t.Helper()
	return local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "c", Path: "runtime.cryption.c", Metadata: metadata})
}

func must(t testing.TB, dir string, metadata map[string]any) cryption.Cipher {
	t.Helper()
	c, err := open(t, dir, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keyFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "cryption", local.Type)
	path := keyFile(t, keys)
	cryptiontest.Run(t, cryptiontest.Options{
		New:   func(t *testing.T) cryption.Cipher { return must(t, "", map[string]any{"keyFile": path, "KeyID": "a"}) },
		KeyID: "a", Other: "b", MaxPlain: 1 << 20,
	})
}

// Without a file there is one, with one key, that only we can read; several
// processes that start at once get the same.
func TestKeyIsMade(t *testing.T) {
	dir := t.TempDir()
	ciphers := make([]cryption.Cipher, 8)
	var wg sync.WaitGroup
	for i := range ciphers {
		wg.Go(func() { ciphers[i] = must(t, dir, nil) })
	}
	wg.Wait()
	sealed, err := ciphers[0].Encrypt(t.Context(), []byte("x"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range ciphers {
		if opened, err := c.Decrypt(t.Context(), sealed.Data); err != nil || string(opened.Data) != "x" {
			t.Error(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "cryption", "c.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		keys:                      `no key "default": add it, or name another with runtime.cryption.c.metadata.KeyID`,
		`{"default": "c2VjcmV0"}`: `the key "default" is not the base64 of 32 bytes`,
		`{"default": secret}`:     "want a JSON object",
	} {
		_, err := open(t, "", map[string]any{"keyFile": keyFile(t, text)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := open(t, "/dev/null/x", nil); err == nil || !strings.Contains(err.Error(), "runtime.cryption.c.metadata.keyFile") {
		t.Errorf("no folder: %v", err)
	}
}

// sealed is "text", encrypted with the key a: what was encrypted once can be
// decrypted for ever.
const sealed = "AQFhToQsiKpmO/qa3tU+n2BvFQX9apLDxmLnmONEc88Hyog="

func FuzzDecrypt(f *testing.F) {
	c := must(f, "", map[string]any{"keyFile": keyFile(f, keys), "KeyID": "a"})
	known, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(known)
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, text []byte) {
		opened, err := c.Decrypt(t.Context(), text)
		if isKnown := bytes.Equal(text, known); isKnown && (err != nil || string(opened.Data) != "text") || !isKnown && err == nil {
			t.Errorf("decrypted: %v", err)
		}
	})
}
