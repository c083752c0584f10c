package dsl

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/expression"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Name is the type by which a configuration asks for the filter.
const Name = "dsl"

// Config holds the scripts; an empty one is none.
type Config struct {
	BeforeRouter  string `json:"before_router_by_dsl" doc:"Script for each request, before its route is chosen."`
	AfterRouter   string `json:"after_router_by_dsl" doc:"Script for each request that a route sends to a cluster, before a host is chosen."`
	AfterBalancer string `json:"after_balancer_by_dsl" doc:"Script for each attempt, when its host is chosen."`
	Send          string `json:"send_filter_by_dsl" doc:"Script for each response of a host or a filter; answers that stand for a failure of the core itself are made later."`
	Log           string `json:"log_filter_by_dsl" unbuilt:"warn: what it could change nobody reads any more"`
	Debug         bool   `json:"debug" unbuilt:"warn"`
}

// Make makes the filter from its configuration. It stands at up to three
// places. A mistake in the configuration is of type decode.Problems.
func Make(env filter.Env, src map[string]any) (filter.Places, error) {
	var cfg Config
	warnings, err := decode.Into(&cfg, src, env.Path)
	problems := decode.AsProblems(err, env.Path)
	compile := func(key, text string, response bool) *script {
		if text == "" {
			return nil
		}
		s, err := expression.CompileScript(text, response)
		if err != nil {
			problems = append(problems, decode.Problem{Path: decode.Join(env.Path, key), Message: err.Error()})
			return nil
		}
		return &script{Script: s, key: decode.Join(env.Path, key), log: env.Log}
	}
	before := compile("before_router_by_dsl", cfg.BeforeRouter, false)
	after := compile("after_router_by_dsl", cfg.AfterRouter, false)
	host := compile("after_balancer_by_dsl", cfg.AfterBalancer, false)
	send := compile("send_filter_by_dsl", cfg.Send, true)
	if err := problems.Err(); err != nil {
		return filter.Places{}, err
	}
	if env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	var places filter.Places
	if before != nil || send != nil {
		places.BeforeRoute = []stream.Filter{run(before, send)}
	}
	if after != nil {
		places.AfterRoute = []stream.Filter{run(after, nil)}
	}
	if host != nil {
		places.PerHost = []stream.Filter{run(host, nil)}
	}
	return places, nil
}

// run makes a filter of a script for requests and one for responses; nil is none.
func run(request, response *script) stream.Filter {
	return func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			request.on(req, nil)
			resp, err := next.Handle(ctx, req)
			if err == nil && resp != stream.NoResponse {
				response.on(req, resp)
			}
			return resp, err
		})
	}
}

// script is a script with the place it stands at in the configuration.
type script struct {
	*expression.Script
	key    string
	log    *slog.Logger
	logged atomic.Int64 // when a failure was logged last, Unix nanoseconds
}

// on runs the script, if there is one.
func (s *script) on(req *stream.Request, resp *stream.Response) {
	if s == nil {
		return
	}
	err := s.Run(req, resp)
	if err == nil || s.log == nil {
		return
	}
	last, now := s.logged.Load(), time.Now().UnixNano()
	if now-last >= int64(time.Second) && s.logged.CompareAndSwap(last, now) {
		s.log.Warn("a script failed for a request; failures of the same second are not logged", "script", s.key, "error", err)
	}
}
