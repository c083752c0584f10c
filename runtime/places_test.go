package runtime_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// signedWith tells whether a request without a body was signed (AWS's version 4) with
// this secret, and who by.
func signedWith(r *http.Request, secret string) (who string, ok bool) {
	parts := map[string]string{}
	for field := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 {
		return "", false
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(parts["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(value))
	}
	query := strings.Split(r.URL.RawQuery, "&")
	for i, q := range query {
		if q != "" && !strings.Contains(q, "=") {
			query[i] += "="
		}
	}
	slices.Sort(query)
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	sign := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	request := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), strings.Join(query, "&"), headers.String(), parts["SignedHeaders"], r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hash(request)}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range scope[1:] {
		key = sign(key, part)
	}
	return scope[0], hex.EncodeToString(sign(key, text)) == parts["Signature"]
}

// A secret reaches places below the first level of the settings: an account in a
// list, a section that is there or is made. The real components sign with it.
func TestSecretsBelow(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	type signature struct {
		who string
		ok  bool
	}
	signatures := make(chan signature, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := signedWith(r, secret)
		select {
		case signatures <- signature{who, ok}:
		default:
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = fmt.Fprint(w, `<?xml version="1.0"?><ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>`)
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"minio": "`+secret+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	rt := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  secret_store: {s: {type: local.file, metadata: {secretsFile: %[1]q}}}
  oss:
    there: {type: minio, metadata: {basic_config: {endpoint: %[2]q, accessKeyID: there, accessKeySecret: replaced}}, secret_ref: [{store_name: s, key: minio, inject_as: basic_config.accessKeySecret}]}
    made:
      type: minio
      secret_ref:
        - {store_name: s, key: minio, inject_as: basic_config.accessKeySecret}
        - {store_name: s, key: minio, inject_as: basic_config.accessKeyID}
      metadata: {basic_config: {endpoint: %[2]q}}
  file:
    listed: {type: minio, metadata: [{endpoint: %[2]q, accessKeyID: listed}], secret_ref: [{store_name: s, key: minio, inject_as: "[0].accessKeySecret"}]}
    named: {type: minio, metadata: {clients: [{endpoint: %[2]q, accessKeyID: named}]}, secret_ref: [{store_name: s, key: minio, inject_as: "clients[0].accessKeySecret"}]}
    flat: {type: minio, metadata: {endpoint: %[2]q, accessKeyID: flat}, secret_ref: [{store_name: s, key: minio, inject_as: accessKeySecret}]}
`, path, server.URL))
	waiting := map[string]bool{"there": true, secret: true, "listed": true, "named": true, "flat": true}
	timeout := time.NewTimer(2 * time.Minute)
	defer timeout.Stop()
	for len(waiting) > 0 {
		select {
		case got := <-signatures:
			if !got.ok {
				t.Errorf("%q signed with something else", got.who)
			}
			delete(waiting, got.who)
		case <-timeout.C:
			t.Fatalf("these did not call the server: %v", waiting)
		}
	}
	if err := rt.Stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(rt.Log.String(), secret) {
		t.Error("the log shows the secret")
	}
}

// An error of a backend, and a component's health, do not show what is secret.
func TestErrorsHideSecrets(t *testing.T) {
	tables := builtin.Tables()
	path := secretsFile(t)
	for name, section := range map[string]string{
		"an address with a password": `bindings: {b: {type: mysql, metadata: {url: "root:hunter2@tcp(127.0.0.1:1)/x?timeout=1ms&readTimeout=no-hunter2"}}}`,
		"a setting":                  `bindings: {b: {type: rabbitmq, metadata: {host: "amqp://u:hunter2@127.0.0.1:no-port/q", queueName: q}}}`,
		"a nested one":               `bindings: {b: {type: http, metadata: {url: "http://127.0.0.1:1", maxResponseBodySize: "moll"}, secret_ref: [{store_name: s, key: "db:tone", sub_key: "db:tone", inject_as: responseTimeout}]}}`,
	} {
		store := fmt.Sprintf("\n  secret_store: {s: {type: local.file, metadata: {secretsFile: %q}}}", path)
		if strings.Contains(section, "secret_store") {
			store = ""
		}
		err := fails(t, "\nruntime:"+store+"\n  "+section+"\n", tables)
		for _, secret := range []string{"hunter2", "moll"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A setting whose name comes from the store is told of at the start when the backend
// does not know it; the loader could not.
func TestUnknownNameOfSecret(t *testing.T) {
	rt := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  secret_store: {s: {type: local.file, metadata: {secretsFile: %q}}}
  state: {a: {type: in-memory, secret_ref: [{store_name: s, key: single}]}}
`, secretsFile(t)))
	if log := rt.Log.String(); !strings.Contains(log, `runtime.state.a.secret_ref[0]: runtime.state.a.metadata.single: unknown key; it has no effect`) {
		t.Errorf("no word of it:\n%s", log)
	}
}
