package contrib_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dapr/components-contrib/bindings/cron"
	bindinghttp "github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/components-contrib/bindings/localstorage"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func newBinding(t *testing.T, factory components.Factory[binding.Binding], metadata map[string]any) binding.Binding {
	t.Helper()
	b, err := factory(t.Context(), components.Env{}, components.Config{Name: "b", Type: "t", Path: "runtime.bindings.b", Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHTTPBinding(t *testing.T) {
	matrix.Backend(t, "binding", "http")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wrong" {
			http.Error(w, "no", http.StatusConflict)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Test")+" "+string(body))
	}))
	defer s.Close()
	open := func(t *testing.T) binding.Binding {
		return newBinding(t, contrib.Binding(bindinghttp.NewHTTP), map[string]any{"url": s.URL})
	}
	bindingtest.RunOutput(t, bindingtest.Output{
		New:     open,
		Request: binding.Request{Operation: "post", Data: []byte("body"), Metadata: map[string]string{"path": "/a", "X-Test": "x"}},
		Want:    "POST /a x body",
		Wrong:   &binding.Request{Operation: "get", Metadata: map[string]string{"path": "/wrong"}},
	})
	t.Run("answer and error", func(t *testing.T) {
		b := open(t)
		t.Cleanup(func() { _ = b.Close() })
		resp, err := b.(binding.Output).Invoke(t.Context(), &binding.Request{Operation: "get", Metadata: map[string]string{"path": "/wrong"}})
		if err == nil || resp == nil || resp.Metadata["statusCode"] != "409" {
			t.Errorf("answer %+v, error %v", resp, err)
		}
	})
}

func TestLocalStorageBinding(t *testing.T) {
	matrix.Backend(t, "binding", "localstorage")
	root := t.TempDir()
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(localstorage.NewLocalStorage), map[string]any{"rootPath": root})
		},
		Request: binding.Request{Operation: "create", Data: []byte("x"), Metadata: map[string]string{"fileName": "a.txt"}},
		Wrong:   &binding.Request{Operation: "get", Metadata: map[string]string{"fileName": "none.txt"}},
	})
}

func TestCronBinding(t *testing.T) {
	matrix.Backend(t, "binding", "cron")
	bindingtest.RunInput(t, bindingtest.Input{New: func(t *testing.T) binding.Binding {
		b := newBinding(t, contrib.Binding(cron.NewCron), map[string]any{"schedule": "@every 1s"})
		if _, ok := b.(binding.Output); ok {
			t.Error("cron is an output")
		}
		return b
	}})
}

func TestDirections(t *testing.T) {
	for direction, want := range map[string]string{"output": "", "sideways": `"sideways"`, "input, output": ""} {
		_, err := contrib.Binding(localstorage.NewLocalStorage)(t.Context(), components.Env{}, components.Config{
			Path: "runtime.bindings.b", Metadata: map[string]any{"rootPath": t.TempDir(), "direction": direction},
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "runtime.bindings.b.metadata.direction")) {
			t.Errorf("direction %q: %v", direction, err)
		}
	}
	_, err := contrib.Binding(localstorage.NewLocalStorage)(t.Context(), components.Env{}, components.Config{
		Path: "runtime.bindings.b", Type: "localstorage", Metadata: map[string]any{"rootPath": t.TempDir(), "direction": "input"},
	})
	if err == nil || !strings.Contains(err.Error(), "localstorage") {
		t.Errorf("an output as an input: %v", err)
	}
}
