// Package unable stands where a filter is asked for that would itself answer the
// requests, and that this version has no code for: "Layotto" and "wasm_filter",
// which run WASM. It answers every request with 501 and says why, so that a file
// with such a listener starts and the rest of it works, and nobody takes the answer
// of a route behind it for a function's.
package unable

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Specs returns the rows for the table.
func Specs() []filter.Spec {
	var specs []filter.Spec
	for _, name := range []string{"Layotto", "wasm_filter"} {
		specs = append(specs, filter.Spec{Name: name, Place: filter.BeforeRoute, New: func(env filter.Env, _ map[string]any) (stream.Filter, error) {
			env.Log.Warn("requests to this listener are answered 501: this version cannot run WASM", slog.String("filter", name), slog.String("listener", env.Listener), slog.String("path", env.Path))
			return refuse(name), nil
		}})
	}
	return specs
}

// refuse answers every request in the place of the filter.
func refuse(name string) stream.Filter {
	text := fmt.Sprintf("501 the filter %q runs WASM, which this version cannot\n", name)
	return func(stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if req.OneWay {
				return stream.NoResponse, nil
			}
			resp := &stream.Response{Status: 501, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
			resp.Header.Add("content-type", "text/plain; charset=utf-8")
			return resp, nil
		})
	}
}
