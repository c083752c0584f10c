package faulttolerance

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/outlier"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Name is the type by which a configuration asks for the filter.
const Name = "fault_tolerance"

// Spec returns the filter, for a filter.Table.
func Spec() filter.Spec { return filter.Spec{Name: Name, Place: filter.PerHost, New: New} }

// Config is the filter's configuration. A value of 0 stands for the default.
type Config struct {
	Enabled               bool          `json:"enabled" doc:"false (default): hosts are never isolated."`
	ExceptionTypes        []int         `json:"exceptionTypes" doc:"HTTP statuses that are failures; no answer at all has one of its own: 502 the connection broke, 503 it could not be made, 504 it took too long. Default 502, 503, 504."`
	TimeWindow            time.Duration `json:"timeWindow" unit:"ms" default:"10s" min:"0" doc:"How long requests are counted before the hosts are compared; a number is in milliseconds. Default 10000."`
	LeastWindowCount      int           `json:"leastWindowCount" default:"10" min:"0" doc:"A host with fewer requests in the window is not looked at. Default 10."`
	ExceptionRateMultiple float64       `json:"exceptionRateMultiple" default:"5" min:"0" doc:"A host is isolated if its rate of failures is at least so many times that of all hosts together, itself included; above 1. Default 5."`
	MaxIPCount            int           `json:"maxIpCount" default:"1" min:"0" doc:"Most hosts of a cluster that are isolated at a time; one host always stays. Default 1."`
	MaxIPRatio            float64       `json:"maxIpRatio" min:"0" max:"100" doc:"Largest share of a cluster's hosts that is isolated at a time, rounded down: 0 to 1, or, above 1, a percentage. 0 (default): only maxIpCount counts."`
	RecoverTime           time.Duration `json:"recoverTime" unit:"ms" default:"15m" min:"0" doc:"How long a host stays isolated; a number is in milliseconds. Default 900000."`
	TaskSize              int           `json:"taskSize" min:"0" doc:"Accepted, and without effect: hosts are compared where there is one to compare, not by a pool of workers."`
}

// shortestWindow is the least that timeWindow may be.
const shortestWindow = 10 * time.Millisecond

// New makes the filter from its configuration.
func New(env filter.Env, config map[string]any) (stream.Filter, error) {
	cfg, err := parse(env, config)
	if err != nil {
		return nil, err
	}
	if !cfg.Enabled {
		return func(next stream.Handler) stream.Handler { return next }, nil
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	c := &counter{cfg: cfg, env: env, tallies: make(map[place]*tally)}
	return c.filter, nil
}

// parse reads a configuration. A mistake in it is of type decode.Problems.
func parse(env filter.Env, config map[string]any) (Config, error) {
	var cfg, defaults Config
	decode.Defaults(&defaults)
	warnings, err := decode.Into(&cfg, config, env.Path)
	if env.Log != nil {
		for _, w := range warnings {
			env.Log.Warn("a filter's configuration is not what it seems", "warning", w.String())
		}
	}
	problems := decode.AsProblems(err, env.Path)
	fail := func(path, message, remedy string) {
		problems = append(problems, decode.Problem{Path: path, Message: message, Remedy: remedy})
	}
	cfg.TimeWindow = orDefault(cfg.TimeWindow, defaults.TimeWindow)
	cfg.LeastWindowCount = orDefault(cfg.LeastWindowCount, defaults.LeastWindowCount)
	cfg.ExceptionRateMultiple = orDefault(cfg.ExceptionRateMultiple, defaults.ExceptionRateMultiple)
	cfg.MaxIPCount = orDefault(cfg.MaxIPCount, defaults.MaxIPCount)
	cfg.RecoverTime = orDefault(cfg.RecoverTime, defaults.RecoverTime)
	if cfg.MaxIPRatio > 1 {
		cfg.MaxIPRatio /= 100
	}
	if len(cfg.ExceptionTypes) == 0 {
		cfg.ExceptionTypes = []int{502, 503, 504}
	}
	if cfg.TimeWindow > 0 && cfg.TimeWindow < shortestWindow {
		fail(decode.Join(env.Path, "timeWindow"), fmt.Sprintf("%v is too short", cfg.TimeWindow), fmt.Sprintf("at least %v", shortestWindow))
	}
	if cfg.ExceptionRateMultiple > 0 && cfg.ExceptionRateMultiple <= 1 {
		fail(decode.Join(env.Path, "exceptionRateMultiple"), fmt.Sprintf("%v would isolate hosts that are as good as the others", cfg.ExceptionRateMultiple), "above 1")
	}
	for i, s := range cfg.ExceptionTypes {
		if s < 100 || s > 599 {
			fail(decode.At(decode.Join(env.Path, "exceptionTypes"), i), fmt.Sprintf("%d is no HTTP status", s), "100 to 599")
		}
	}
	return cfg, problems.Err()
}

// orDefault returns v, or what stands for it if it is 0.
func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// counter counts what becomes of requests. It is safe for concurrent use.
type counter struct {
	cfg Config
	env filter.Env

	mu sync.RWMutex
	// tallies are those of this window.
	tallies map[place]*tally
	// running: a goroutine will look at them.
	running bool
}

// place is a host of a cluster.
type place struct{ cluster, host string }

// tally is what became of the requests to a host.
type tally struct{ calls, failures atomic.Int64 }

// mostPlaces is the most hosts that are counted in a window: a cluster that
// passes requests through to anywhere must not fill the memory. Requests to
// further ones are not counted.
const mostPlaces = 20000

func (c *counter) filter(next stream.Handler) stream.Handler {
	return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		at := place{req.Info.Cluster, req.Info.Host}
		resp, err := next.Handle(ctx, req)
		switch {
		case err == nil:
			c.count(at, resp.Status)
		case outlier.HostFailed(err): // else it says nothing about the host
			c.count(at, stream.AsError(err).Status())
		}
		return resp, err
	})
}

// count counts an answer with a status.
func (c *counter) count(at place, status int) {
	c.mu.RLock()
	t := c.tallies[at]
	c.mu.RUnlock()
	if t == nil {
		if t = c.first(at); t == nil {
			return
		}
	}
	t.calls.Add(1)
	if slices.Contains(c.cfg.ExceptionTypes, status) {
		t.failures.Add(1)
	}
}

// first returns the tally of a host that has none yet; nil if there are too many.
func (c *counter) first(at place) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallies[at]
	if t == nil && len(c.tallies) < mostPlaces {
		t = new(tally)
		c.tallies[at] = t
	}
	if !c.running {
		c.running = c.env.Go(c.run)
	}
	return t
}

// run looks at the tallies at the end of each window, until one was empty.
func (c *counter) run(ctx context.Context) {
	ticker := time.NewTicker(c.cfg.TimeWindow)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		tallies := c.tallies
		c.running = len(tallies) > 0
		if !c.running {
			c.mu.Unlock()
			return
		}
		c.tallies = make(map[place]*tally, min(len(tallies), 100))
		c.mu.Unlock()
		c.compare(tallies)
	}
}
