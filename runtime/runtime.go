package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// Options are what a Runtime is made from.
type Options struct {
	Config *config.Config
	Tables Tables
	// Log takes everything that is to be known; nil is slog.Default.
	Log *slog.Logger
	// Version and Compiled describe the program, for the actuator.
	Version, Compiled string
	// Services are further gRPC services of the program that embeds the runtime,
	// served beside the API.
	Services []grpcapi.Service
	// CheckInterval is how often components are asked for their health. 0: 2 s.
	CheckInterval time.Duration
}

// Runtime is a running Ottavo. All methods are safe for concurrent use.
type Runtime struct {
	opts   Options
	log    *slog.Logger
	health *actuator.Health
	proxy  *proxy.Server
	api    *grpcapi.Server // nil without a runtime section
	parts  []part
	// secrets and configurations are the stores that other components may use.
	secrets        map[string]secret.Store
	configurations map[string]configuration.Store
	invokers       []rpc.Invoker
	// background runs from Run to the beginning of the stop. Each returns soon
	// after its context has ended.
	background []func(context.Context)
	app        *layotto.App // nil: the application receives nothing

	stop sync.Once
}

// part is one component that was made.
type part struct {
	section         string // as in the configuration: "hellos"
	kind, name, typ string // "hello", …
	value           any
	secrets         hidden // of its settings
}

func (p part) key() string { return p.kind + "/" + p.name }

// Custom returns a component of one of the program's own kinds, by its kind and
// name in the configuration; false when there is none. The runtime closes it.
func (r *Runtime) Custom(kind, name string) (custom.Component, bool) {
	for _, p := range r.parts {
		if p.section == config.CustomComponents+"."+kind && p.name == name {
			return p.value, true
		}
	}
	return nil, false
}

// Run serves until ctx ends, then stops in order: accepted calls finish, within
// the configured times. It returns nil after an orderly stop, and may be called
// once.
func (r *Runtime) Run(ctx context.Context) error {
	r.health.SetRuntime(actuator.Indicator{Status: actuator.Up})
	checks, stopChecks := context.WithCancel(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { r.check(checks) })
	for _, run := range r.background {
		checking.Go(func() { run(checks) })
	}
	err := r.proxy.Run(ctx)
	reason := "shutdown"
	if err != nil {
		reason = err.Error()
	}
	r.health.SetRuntime(actuator.Indicator{Status: actuator.Down, Reason: reason})
	stopChecks()
	checking.Wait()
	return errors.Join(err, r.shutdown(context.WithoutCancel(ctx)))
}

// shutdown stops everything in the reverse order of the start. Every wait is
// bounded by the configuration.
func (r *Runtime) shutdown(ctx context.Context) error {
	var errs []error
	r.stop.Do(func() {
		r.log.Info("stopping: accepted calls are finished")
		if r.api != nil {
			errs = append(errs, r.stopAPI(ctx))
		}
		for _, inv := range r.invokers {
			errs = append(errs, inv.Close())
		}
		pctx, cancel := context.WithTimeout(ctx, r.opts.Config.ShutdownTimeout)
		errs = append(errs, r.proxy.Shutdown(pctx))
		cancel()
		errs = append(errs, r.closeParts())
		r.log.Info("stopped")
	})
	return errors.Join(errs...)
}

// stopAPI lets calls of the API finish. They may still go through the proxy
// meanwhile.
func (r *Runtime) stopAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Config.Runtime.GracefulStopTimeout)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- r.proxy.Drain(ctx, r.opts.Config.Runtime.Listener) }()
	err := r.api.Shutdown(ctx)
	return errors.Join(err, <-drained)
}

func (r *Runtime) closeParts() error {
	var errs []error
	if r.app != nil {
		errs = append(errs, r.app.Close())
	}
	for i := len(r.parts) - 1; i >= 0; i-- {
		p := r.parts[i]
		if c, ok := p.value.(interface{ Close() error }); ok {
			if err := c.Close(); err != nil {
				errs = append(errs, fmt.Errorf("closing %s component %q: %w", p.kind, p.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Close gives everything back at once, for a Runtime that was not run. It is
// safe after Run, and twice.
func (r *Runtime) Close(ctx context.Context) {
	r.stop.Do(func() {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if r.api != nil {
			_ = r.api.Shutdown(gone)
		}
		for _, inv := range r.invokers {
			_ = inv.Close()
		}
		if r.proxy != nil {
			r.proxy.Close()
		}
		_ = r.closeParts()
	})
}

// Status is what a Runtime is made of, for people.
type Status struct {
	Listeners  []proxy.ListenerStatus
	Clusters   []proxy.ClusterStatus
	Components []ComponentStatus
}

// ComponentStatus is the state of one component.
type ComponentStatus struct {
	Kind, Name, Type string
	actuator.Indicator
	// Details are what the component tells of itself; nil: nothing.
	Details map[string]any
}

// Status tells about listeners, clusters and components.
func (r *Runtime) Status() Status {
	_, indicators := r.health.Indicators(actuator.Readiness)
	s := Status{Listeners: r.proxy.Listeners(), Clusters: r.proxy.Clusters()}
	for _, p := range r.parts {
		c := ComponentStatus{Kind: p.kind, Name: p.name, Type: p.typ, Indicator: indicators[p.key()]}
		if t, ok := p.value.(components.Teller); ok {
			c.Details = t.Tell()
		}
		s.Components = append(s.Components, c)
	}
	return s
}
