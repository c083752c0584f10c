package builtin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// web is an HTTP server that plays several services: a page for bindings, Vault,
// Amazon's KMS, and an object store. It asks for a password where it has one:
// Vault's token, and the id of an access key elsewhere.
type web struct {
	t      *testing.T
	addr   string
	server *http.Server

	mu       sync.Mutex
	password string
	full     bool
	objects  map[string][]byte
	held     chan struct{} // not nil: answers wait until it is closed
}

func newWeb(t *testing.T, password string) *web {
	w := &web{t: t, addr: testserver.Addr(t), password: password, objects: map[string][]byte{}}
	w.Start()
	t.Cleanup(w.Stop)
	return w
}

// Start implements faultServer.
func (w *web) Start() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go w.server.Serve(l) //nolint:errcheck // it ends with Stop
}

// Stop implements faultServer.
func (w *web) Stop() { _ = w.server.Close() }

// Pause implements faultServer.
func (w *web) Pause() { w.mu.Lock(); w.held = make(chan struct{}); w.mu.Unlock() }

// Resume implements faultServer.
func (w *web) Resume() { w.mu.Lock(); close(w.held); w.held = nil; w.mu.Unlock() }

// change makes another password the right one.
func (w *web) change(*testing.T) { w.mu.Lock(); w.password = "another"; w.mu.Unlock() }

// fill makes the object store full until the function that it returns is called.
func (w *web) fill(yes bool) { w.mu.Lock(); w.full = yes; w.mu.Unlock() }

// ServeHTTP implements http.Handler.
func (w *web) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-in.Context().Done():
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	signed := strings.Contains(in.Header.Get("Authorization"), "Credential="+w.password+"/") || w.password == ""
	switch path := in.URL.Path; {
	case path == "/page":
		_, _ = io.WriteString(out, "page")
	case strings.HasPrefix(path, "/v1/"):
		if w.password != "" && in.Header.Get("X-Vault-Token") != w.password {
			http.Error(out, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		data := map[string]any{"data": map[string]string{"a": "secret"}}
		if strings.Contains(path, "/metadata") {
			data = map[string]any{"keys": []string{"a"}}
		}
		_ = json.NewEncoder(out).Encode(map[string]any{"data": data})
	case in.Header.Get("X-Amz-Target") != "":
		if !signed {
			out.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(out, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
			return
		}
		_ = json.NewEncoder(out).Encode(map[string]any{"CiphertextBlob": []byte("hidden"), "KeyId": "key"})
	default:
		w.object(out, in, body, signed)
	}
}

// object is the object store, which has one bucket. It is called with mu held.
func (w *web) object(out http.ResponseWriter, in *http.Request, body []byte, signed bool) {
	refuse := func(status int, code string) {
		out.Header().Set("Content-Type", "application/xml")
		out.WriteHeader(status)
		_, _ = fmt.Fprintf(out, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, code)
	}
	const list = `<?xml version="1.0" encoding="UTF-8"?><%s xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></%s>`
	key := in.URL.Path
	switch {
	case !signed:
		refuse(http.StatusForbidden, "InvalidAccessKeyId")
	case key == "/":
		_, _ = fmt.Fprintf(out, list, "ListAllMyBucketsResult", "ListAllMyBucketsResult")
	case strings.Trim(key, "/") == "bucket":
		_, _ = fmt.Fprintf(out, list, "ListBucketResult", "ListBucketResult")
	case in.Method == http.MethodPut && w.full:
		refuse(http.StatusInsufficientStorage, "XMinioStorageFull")
	case in.Method == http.MethodPut:
		w.objects[key] = body
		out.Header().Set("ETag", `"1"`)
	case w.objects[key] == nil:
		refuse(http.StatusNotFound, "NoSuchKey")
	default:
		out.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = out.Write(w.objects[key])
	}
}
