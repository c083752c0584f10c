package actuator

import (
	"maps"
	"sync"
)

// Status is the state of an indicator.
type Status string

// States, from good to bad.
const (
	Up   Status = "UP"
	Init Status = "INIT"
	Down Status = "DOWN"
)

// Indicator is the state of one thing, with a reason unless it is up.
type Indicator struct {
	Status Status
	Reason string
}

// Probe is a question that the platform asks.
type Probe uint8

// Probes.
const (
	// Liveness: should the process be restarted? Only the runtime itself counts.
	Liveness Probe = iota
	// Readiness: should it get traffic? Every component counts, too.
	Readiness
)

// Startup is the indicator of the runtime itself, part of both probes.
const Startup = "runtime_startup"

// Health holds the indicators. It is safe for concurrent use.
type Health struct {
	mu         sync.Mutex
	runtime    Indicator
	components map[string]Indicator
}

// NewHealth makes a Health whose runtime is starting.
func NewHealth() *Health {
	return &Health{runtime: Indicator{Init, "starting"}, components: make(map[string]Indicator)}
}

// SetRuntime sets the state of the runtime itself.
func (h *Health) SetRuntime(i Indicator) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runtime = i
}

// Set sets the state of a component and reports whether its status changed.
func (h *Health) Set(component string, i Indicator) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.components[component]
	h.components[component] = i
	return !known || before.Status != i.Status
}

// Indicators returns what counts for a probe, by name, and the worst of it:
// DOWN before INIT before UP.
func (h *Health) Indicators(p Probe) (Status, map[string]Indicator) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string]Indicator, len(h.components)+1)
	if p == Readiness {
		maps.Copy(all, h.components)
	}
	all[Startup] = h.runtime
	worst := Up
	for _, i := range all {
		if i.Status == Down || i.Status == Init && worst == Up {
			worst = i.Status
		}
	}
	return worst, all
}
