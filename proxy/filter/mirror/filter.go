package mirror

import (
	"context"
	"slices"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Name is the type by which a configuration asks for the filter.
const Name = "mirror"

// Config is the filter's configuration.
type Config struct {
	Amplification int  `json:"amplification" default:"1" min:"0" doc:"How many copies are made of each request that a route mirrors. Default 1, which 0 also means."`
	Broadcast     bool `json:"broadcast" doc:"Send the copies to every host of the mirror's cluster, instead of one that its balancer chooses."`
}

// Spec returns the filter's row for the table.
func Spec() filter.Spec { return filter.Spec{Name: Name, Place: filter.AfterRoute, New: newFilter} }

func newFilter(env filter.Env, src map[string]any) (stream.Filter, error) {
	var cfg Config
	decode.Defaults(&cfg)
	warnings, err := decode.Into(&cfg, src, env.Path)
	if err != nil {
		return nil, err
	}
	if env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	return func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Policy != nil && len(req.Policy.Mirrors) > 0 {
				req.Policy = cfg.apply(req.Policy)
			}
			return next.Handle(ctx, req)
		})
	}, nil
}

// apply returns a policy that differs from p, which all requests of the route
// share, in its mirrors.
func (c *Config) apply(p *stream.Policy) *stream.Policy {
	own := *p
	own.Mirrors = slices.Clone(p.Mirrors)
	for i := range own.Mirrors {
		m := &own.Mirrors[i]
		m.Copies, m.Broadcast = max(1, c.Amplification), c.Broadcast
	}
	return &own
}
