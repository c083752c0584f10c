package unable_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/logtest"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/unable"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// No request reaches what is behind the filter, and everybody is told why.
func TestRefuses(t *testing.T) {
	for _, spec := range unable.Specs() {
		var log logtest.Log
		f, err := spec.New(filter.Env{Listener: "wasm", Log: slog.New(slog.NewTextHandler(&log, nil)), Path: "p"}, map[string]any{"id": "x"})
		if err != nil {
			t.Fatal(err)
		}
		h := f(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
			t.Error("the request went on")
			return stream.NoResponse, nil
		}))
		resp, err := h.Handle(t.Context(), &stream.Request{Method: "GET"})
		if err != nil || resp.Status != 501 {
			t.Fatalf("%s: %+v, %v", spec.Name, resp, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || int64(len(body)) != resp.ContentLength || !strings.Contains(string(body), spec.Name) {
			t.Errorf("body %q, %v", body, err)
		}
		if resp, err := h.Handle(t.Context(), &stream.Request{OneWay: true}); err != nil || resp != stream.NoResponse {
			t.Errorf("one-way: %v, %v", resp, err)
		}
		if !strings.Contains(log.String(), "WASM") || !strings.Contains(log.String(), "wasm") {
			t.Errorf("log %q", log.String())
		}
	}
}
