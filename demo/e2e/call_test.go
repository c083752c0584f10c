package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
)

// `ottavo call` returns what a real HTTP service answers, and the access log
// says which way the call took.
func TestCall(t *testing.T) {
	backend := echo(t)
	address := backend.Listener.Addr().String()
	p := ottavotest.Start(t, configuration("", service{"HelloService:1.0", address}))

	out, errs, err := ottavotest.Run(t, "call", "--address", p.Addr("runtime"), "spec.proto.runtime.v1.Runtime/InvokeService", "-d",
		`{"id": "HelloService:1.0", "message": {"method": "/hello", "data": "hi", "httpExtension": {"verb": "POST", "querystring": "name=eva"}}}`)
	if err != nil {
		t.Fatalf("ottavo call: %v\n%s%s", err, out, errs)
	}
	var answer struct {
		Data        struct{ Value string }
		ContentType string
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("ottavo call printed %q: %v", out, err)
	}
	if want := "POST /hello?name=eva hi"; answer.Data.Value != want || answer.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("the answer is %+v, want the body %q", answer, want)
	}

	var record map[string]string
	ottavotest.Eventually(t, 2*time.Minute, "the access log has one line", func() error {
		log := p.ReadFile("access.log")
		if strings.Count(log, "\n") != 1 {
			return fmt.Errorf("it is %q", log)
		}
		var err error
		record, err = parseRecord(log)
		return err
	})
	for key, want := range map[string]string{
		"listener": "egress", "vhost": "services", "route": "route-HelloService:1.0", "cluster": "cluster-HelloService:1.0",
		"host": address, "status": "200", "method": "POST", "path": "/hello", "attempts": "1", "bytes_in": "2",
	} {
		if record[key] != want {
			t.Errorf("access log: %s is %q, want %q in %v", key, record[key], want, record)
		}
	}
	if ms, err := strconv.ParseFloat(record["duration_ms"], 64); err != nil || ms <= 0 || ms > 20_000 {
		t.Errorf("access log: duration_ms is %q", record["duration_ms"])
	}
	if _, err := time.Parse(time.RFC3339, record["time"]); err != nil {
		t.Errorf("access log: %v", err)
	}
}

// A call that fails says so by its exit code and names the code.
func TestCallFails(t *testing.T) {
	p := ottavotest.Start(t, configuration(""))
	for _, c := range []struct {
		name, method, data string
		want               []string
	}{
		{"no such service", "Runtime/InvokeService", `{"id": "nobody", "message": {"method": "/"}}`, []string{"UNAVAILABLE", "no route"}},
		{"no such store", "Runtime/GetState", `{"storeName": "nowhere", "key": "k"}`, []string{"INVALID_ARGUMENT", "nowhere"}},
		{"empty key", "Runtime/GetState", `{"storeName": "store", "key": ""}`, []string{"INVALID_ARGUMENT", "key"}},
		{"separator in a key", "Runtime/GetState", `{"storeName": "store", "key": "a||b"}`, []string{"UNKNOWN", "||"}},
		{"not configured", "Runtime/GetSecret", `{}`, []string{"FAILED_PRECONDITION", "secret"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, err := ottavotest.Run(t, "call", "--address", p.Addr("runtime"), c.method, "-d", c.data)
			exit, ok := errors.AsType[interface {
				error
				ExitCode() int
			}](err)
			if !ok || exit.ExitCode() != 1 {
				t.Errorf("%v, want exit code 1; printed %q", err, out)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.ToUpper(errs), strings.ToUpper(want)) {
					t.Errorf("the error is %q, want %q in it", errs, want)
				}
			}
		})
	}
}

// parseRecord reads a line of key=value pairs, quoted where needed.
func parseRecord(line string) (map[string]string, error) {
	record := make(map[string]string)
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimPrefix(rest, " ") {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("no key=value at %q", rest)
		}
		if !strings.HasPrefix(after, `"`) {
			record[key], rest, _ = strings.Cut(after, " ")
			continue
		}
		quoted, err := strconv.QuotedPrefix(after)
		if err != nil {
			return nil, fmt.Errorf("%w at %q", err, after)
		}
		if record[key], err = strconv.Unquote(quoted); err != nil {
			return nil, err
		}
		rest = after[len(quoted):]
	}
	return record, nil
}
