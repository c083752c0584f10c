package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// A Redis that goes away turns readiness DOWN and calls into prompt errors; when
// it is back, so is everything.
func TestRedisGoesAndComes(t *testing.T) {
	redis := testserver.Redis(t)
	p := ottavotest.Start(t, configuration(fmt.Sprintf("    redis: {type: redis, metadata: {redisHost: %q}}", redis.Addr)))
	client := dial(t, p)
	store := client.State("redis")
	if err := store.Save(timeout(t), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}

	redis.Stop()
	ottavotest.Eventually(t, 2*time.Minute, "readiness is DOWN", func() error {
		return readiness(p, http.StatusInternalServerError, "DOWN")
	})
	if code, body, err := p.Get("/actuator/health/liveness"); err != nil || code != http.StatusOK {
		t.Errorf("liveness: %d %s %v, want UP: a restart would not help", code, body, err)
	}
	start := time.Now()
	err := store.Save(timeout(t), "k", []byte("w"))
	e, ok := errors.AsType[*ottavo.Error](err)
	if !ok || e.Code != codes.Internal || !strings.Contains(e.Message, redis.Addr) || !strings.Contains(e.Message, "state store redis") {
		t.Errorf("%v, want INTERNAL, with the store and its address", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the error took %s", took)
	}
	alive(t, client)
	if err := client.State("store").Save(timeout(t), "k", []byte("v")); err != nil {
		t.Errorf("the other store: %v", err)
	}

	redis.Start()
	ottavotest.Eventually(t, 2*time.Minute, "readiness is UP", func() error { return readiness(p, http.StatusOK, "UP") })
	if err := store.Save(timeout(t), "k", []byte("x")); err != nil {
		t.Error(err)
	}
	if item, err := store.Get(timeout(t), "k"); err != nil || string(item.Value) != "x" {
		t.Errorf("%q, %v", item.Value, err)
	}
	// Each time once, that is; more than once when the machine is too slow for a check.
	ottavotest.Eventually(t, 2*time.Minute, "the log says what was down and is up again", func() error {
		log := p.Log()
		down, up := strings.Count(log, "component is down"), strings.Count(log, "component is up again")
		if down != up || down == 0 || down > 5 {
			return fmt.Errorf("%d times down, %d times up again:\n%s", down, up, log)
		}
		return nil
	})
}

// readiness returns an error unless that is the answer, for Redis and for all.
func readiness(p *ottavotest.Process, wantCode int, want string) error {
	code, body, err := p.Get("/actuator/health/readiness")
	if err != nil {
		return err
	}
	var health struct {
		Status     string
		Components map[string]struct {
			Status  string
			Details map[string]string
		}
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return err
	}
	redis := health.Components["state/redis"]
	if code != wantCode || health.Status != want || redis.Status != want || (want == "DOWN") != (redis.Details["reason"] != "") {
		return fmt.Errorf("%d %s", code, body)
	}
	return nil
}

// A Redis that is not there at the start is an error that names the component,
// its type and the cause; what had started is closed again.
func TestRedisDownAtStart(t *testing.T) {
	redis := testserver.Redis(t)
	redis.Stop()
	dir := t.TempDir()
	file := filepath.Join(dir, "ottavo.yaml")
	config := configuration(fmt.Sprintf("    redis: {type: redis, metadata: {redisHost: %q}}\n  data_dir: %q", redis.Addr, filepath.Join(dir, "data")))
	config = strings.ReplaceAll(config, "ACTUATOR", "127.0.0.1:0")
	config = strings.ReplaceAll(config, "access.log", filepath.Join(dir, "access.log"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := ottavotest.Run(t, "start", "-c", file)
	if err == nil {
		t.Fatalf("it started: %s", out)
	}
	for _, want := range []string{`"redis"`, "state", redis.Addr, "refused"} {
		if !strings.Contains(errs, want) {
			t.Errorf("the error does not say %s: %s", want, errs)
		}
	}
	if out != "" {
		t.Errorf("printed %q", out)
	}
}
