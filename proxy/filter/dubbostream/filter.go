package dubbostream

import (
	"context"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Name is the type by which a configuration asks for the filter.
const Name = "dubbo_stream"

// Config is the filter's configuration.
type Config struct {
	Subset string `json:"subset" unbuilt:"warn: calls are not counted by labels of the pod; it has nothing to do with subsets of hosts, which header_to_metadata chooses" doc:"Name of a label of the pod, the value of which MOSN's counters of calls have."`
}

// Spec returns the filter's row for the table.
func Spec() filter.Spec { return filter.Spec{Name: Name, Make: makeFilter} }

func makeFilter(env filter.Env, src map[string]any) (filter.Places, error) {
	var cfg Config
	warnings, err := decode.Into(&cfg, src, env.Path)
	if err != nil {
		return filter.Places{}, err
	}
	if env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	return filter.Places{BeforeRoute: []stream.Filter{count(env), disguise}, AfterRoute: []stream.Filter{reveal}}, nil
}

// count counts the calls of each service and method.
func count(env filter.Env) stream.Filter {
	calls := env.Calls
	if calls == nil {
		calls = new(filter.Calls)
	}
	return func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if _, rpc := req.Native.(stream.Coder); !rpc {
				return next.Handle(ctx, req)
			}
			row := calls.Of(env.Listener, req.Header.Get("service"), req.Method)
			row.Requests.Add(1)
			resp, err := next.Handle(ctx, req)
			switch {
			case req.OneWay, err != nil && stream.AsError(err).Kind == stream.Canceled: // nobody is told
			case err != nil || resp.Status >= 400:
				row.Failed.Add(1)
			default:
				row.Succeeded.Add(1)
			}
			return resp, err
		})
	}
}

// root is the path that requests have for the router.
const root = "/"

// disguise gives an RPC request a host and a path while a route is chosen.
func disguise(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		service, ok := serviceOf(req)
		if !ok || req.Path != "" || req.Authority != "" {
			return next.Handle(ctx, req)
		}
		req.Path, req.Authority = root, service
		resp, err := next.Handle(ctx, req)
		undo(req)
		return resp, err
	})
}

// reveal takes host and path away when a route has been chosen.
func reveal(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		undo(req)
		return next.Handle(ctx, req)
	})
}

func undo(req *stream.Request) {
	if _, ok := serviceOf(req); ok {
		req.Path, req.Authority, req.Info.Path = "", "", ""
	}
}

// serviceOf returns the service that an RPC request calls.
func serviceOf(req *stream.Request) (string, bool) {
	if _, ok := req.Native.(stream.Coder); !ok {
		return "", false
	}
	return req.Header.Lookup("service")
}
