package actuator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// FilterName is the stream filter by which a listener becomes the actuator.
const FilterName = "actuator_filter"

// App says what program this is.
type App struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Compiled is when the program was built, RFC 3339; "" if not known.
	Compiled string `json:"compiled"`
	// Started is when the process started.
	Started time.Time `json:"started"`
}

// Actuator answers the platform's questions. It is safe for concurrent use.
type Actuator struct {
	Health *Health
	App    App
	// Info returns what /actuator/info tells besides the app, by key; nil: nothing.
	Info func() map[string]any
}

// Spec returns the stream filter that serves the actuator. A listener with it
// answers every request itself; what is not an actuator path is 404.
func (a *Actuator) Spec() filter.Spec {
	return filter.Spec{Name: FilterName, New: func(env filter.Env, config map[string]any) (stream.Filter, error) {
		warnings, err := decode.Into(&struct{}{}, config, env.Path)
		if err != nil {
			return nil, err
		}
		for _, w := range warnings {
			env.Log.Warn("a mistake in the configuration", "problem", w.String())
		}
		return func(stream.Handler) stream.Handler { return stream.HandlerFunc(a.handle) }, nil
	}}
}

// handle answers /actuator/{endpoint}/{params...}. As in Layotto the method
// does not matter and the query is ignored.
func (a *Actuator) handle(_ context.Context, req *stream.Request) (*stream.Response, error) {
	req.Info.Route = "actuator"
	parts := strings.Split(strings.Trim(req.Path, "/"), "/")
	if len(parts) < 2 || parts[0] != "actuator" {
		return answer(404, nil)
	}
	switch parts[1] {
	case "health":
		return a.health(parts[2:])
	case "info":
		return answer(200, a.info())
	}
	return answer(404, nil)
}

type healthBody struct {
	Status     Status                   `json:"status"`
	Components map[string]indicatorBody `json:"components"`
}

type indicatorBody struct {
	Status  Status            `json:"status"`
	Details map[string]string `json:"details,omitempty"`
}

// health answers with 200 when all is UP, else with 500, INIT included.
func (a *Actuator) health(params []string) (*stream.Response, error) {
	var probe Probe
	switch {
	case len(params) == 1 && params[0] == "liveness":
		probe = Liveness
	case len(params) == 1 && params[0] == "readiness":
		probe = Readiness
	default:
		return answer(500, struct{}{})
	}
	worst, all := a.Health.Indicators(probe)
	body := healthBody{Status: worst, Components: make(map[string]indicatorBody, len(all))}
	for name, i := range all {
		b := indicatorBody{Status: i.Status}
		if i.Reason != "" || name == Startup {
			b.Details = map[string]string{"reason": i.Reason}
		}
		body.Components[name] = b
	}
	status := 200
	if worst != Up {
		status = 500
	}
	return answer(status, body)
}

func (a *Actuator) info() map[string]any {
	info := map[string]any{"app": a.App}
	if a.Info != nil {
		maps.Copy(info, a.Info())
	}
	return info
}

// answer makes a response of JSON; nil has no body.
func answer(status int, body any) (*stream.Response, error) {
	resp := &stream.Response{Status: status}
	resp.Header.Add("Content-Type", "application/json")
	if body == nil {
		return resp, nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, &stream.Error{Kind: stream.Internal, Op: "actuator", Err: err}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return resp, nil
}
