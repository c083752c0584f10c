package actuator

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// ask sends a request to the actuator's filter and returns status and body.
func ask(t *testing.T, a *Actuator, method, path string) (int, string) {
	t.Helper()
	f, err := a.Spec().New(filter.Env{Path: "x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := stream.HandlerFunc(nil) // it answers everything itself
	resp, err := f(next).Handle(t.Context(), &stream.Request{Method: method, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Close() }()
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", path, got)
	}
	if resp.Body == nil {
		return resp.Status, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || int64(len(body)) != resp.ContentLength {
		t.Fatalf("%s: body of %d bytes, announced %d: %v", path, len(body), resp.ContentLength, err)
	}
	return resp.Status, string(body)
}

func TestHealth(t *testing.T) {
	const (
		starting = `{"status":"INIT","components":{"runtime_startup":{"status":"INIT","details":{"reason":"starting"}}}}`
		up       = `{"status":"UP","components":{"runtime_startup":{"status":"UP","details":{"reason":""}}}}`
		upWith   = `{"status":"UP","components":{"runtime_startup":{"status":"UP","details":{"reason":""}},"state/orders":{"status":"UP"}}}`
		downWith = `{"status":"DOWN","components":{"runtime_startup":{"status":"UP","details":{"reason":""}},"state/orders":{"status":"DOWN","details":{"reason":"refused"}}}}`
		stopping = `{"status":"DOWN","components":{"runtime_startup":{"status":"DOWN","details":{"reason":"shutdown"}}}}`
	)
	h := NewHealth()
	a := &Actuator{Health: h}
	check := func(step, probe string, status int, body string) {
		t.Helper()
		for _, method := range []string{"GET", "POST"} {
			gotStatus, got := ask(t, a, method, "/actuator/health/"+probe)
			if gotStatus != status || got != body {
				t.Errorf("%s, %s: %d %s\nwant %d %s", step, probe, gotStatus, got, status, body)
			}
		}
	}
	check("before the start", "liveness", 500, starting)
	check("before the start", "readiness", 500, starting)
	h.SetRuntime(Indicator{Status: Up})
	check("started", "liveness", 200, up)
	if !h.Set("state/orders", Indicator{Status: Up}) {
		t.Error("a new component is no change")
	}
	check("component up", "readiness", 200, upWith)
	if !h.Set("state/orders", Indicator{Down, "refused"}) {
		t.Error("up to down is no change")
	}
	if h.Set("state/orders", Indicator{Down, "refused"}) {
		t.Error("down to down is a change")
	}
	check("component down", "readiness", 500, downWith)
	check("component down", "liveness", 200, up) // a restart would not bring the backend back
	h.Set("state/orders", Indicator{Status: Up})
	check("component back", "readiness", 200, upWith)
	h.SetRuntime(Indicator{Down, "shutdown"})
	check("stopping", "liveness", 500, stopping)
}

func TestPaths(t *testing.T) {
	a := &Actuator{
		Health: NewHealth(), App: App{Name: "ottavo", Version: "v1", Started: time.Unix(0, 0).UTC()},
		Info: func() map[string]any { return map[string]any{"listeners": []string{"a"}} },
	}
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 404, ""},
		{"/actuator", 404, ""},
		{"/actuator/", 404, ""},
		{"/actuator/nothing", 404, ""},
		{"/other/health/liveness", 404, ""},
		{"/actuator/health", 500, "{}"},
		{"/actuator/health/other", 500, "{}"},
		{"/actuator/health/liveness/more", 500, "{}"},
	} {
		if status, body := ask(t, a, "GET", c.path); status != c.status || body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, status, body, c.status, c.body)
		}
	}
	status, body := ask(t, a, "GET", "/actuator/info")
	var info struct {
		App       App
		Listeners []string
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil || status != 200 || info.App != a.App || len(info.Listeners) != 1 {
		t.Errorf("info: %d %s, %v", status, body, err)
	}
}
