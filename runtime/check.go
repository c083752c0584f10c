package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
)

// defaultCheckInterval is how often components are asked for their health, and
// checkTimeout how long an answer may take.
const (
	defaultCheckInterval = 2 * time.Second
	checkTimeout         = time.Second
)

// check asks the components that can tell for their health until ctx ends, and
// logs changes.
func (r *Runtime) check(ctx context.Context) {
	var checkers []part
	for _, p := range r.parts {
		if _, ok := p.value.(components.Checker); ok {
			checkers = append(checkers, p)
		}
	}
	if len(checkers) == 0 {
		return
	}
	interval := r.opts.CheckInterval
	if interval <= 0 {
		interval = defaultCheckInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		// Side by side: a component that does not answer delays no other.
		var wg sync.WaitGroup
		for _, p := range checkers {
			wg.Go(func() { r.checkOne(ctx, p, p.value.(components.Checker)) })
		}
		wg.Wait()
		r.tellReadiness()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (r *Runtime) checkOne(ctx context.Context, p part, c components.Checker) {
	cctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := p.secrets.in(guardedCheck(cctx, c))
	if ctx.Err() != nil {
		return
	}
	state := actuator.Indicator{Status: actuator.Up}
	if err != nil {
		state = actuator.Indicator{Status: actuator.Down, Reason: err.Error()}
	}
	if !r.health.Set(p.key(), state) {
		return
	}
	if err != nil {
		r.log.Warn("component is down", "kind", p.kind, "component", p.name, "type", p.typ, "error", err)
		return
	}
	r.log.Info("component is up again", "kind", p.kind, "component", p.name, "type", p.typ)
}

// guardedCheck asks a component. One that panics is down, and does not end the process.
func guardedCheck(ctx context.Context, c components.Checker) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its check has a defect: %v", p)
		}
	}()
	return c.Check(ctx)
}

// tellReadiness lets the API's own health service say what the actuator says.
func (r *Runtime) tellReadiness() {
	if r.api != nil {
		worst, _ := r.health.Indicators(actuator.Readiness)
		r.api.SetServing(worst == actuator.Up)
	}
}
