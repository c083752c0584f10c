package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/dapr/components-contrib/bindings"
	daprredis "github.com/dapr/components-contrib/bindings/redis"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"
	goredis "github.com/go-redis/redis/v8"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-redis looks once a second whether a lost server is back, and notices
		// only then that the client was closed. Dapr's is made of the second one.
		goleak.IgnoreAnyFunction("github.com/go-redis/redis/v8/internal/pool.(*ConnPool).tryDial"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// open makes a binding with settings that name and value follow each other in.
func open(t *testing.T, addr string, more ...any) (*Binding, error) {
	t.Helper()
	settings := map[string]any{"redisHost": addr}
	for i := 0; i < len(more); i += 2 {
		settings[more[i].(string)] = more[i+1]
	}
	b, err := New(t.Context(), components.Env{}, components.Config{Name: "test", Type: Type, Path: "bindings.test", Metadata: settings})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.(*Binding), nil
}

func mustOpen(t *testing.T, addr string, more ...any) *Binding {
	t.Helper()
	b, err := open(t, addr, more...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// request makes one with metadata that name and value follow each other in.
func request(operation, data string, more ...string) *binding.Request {
	req := &binding.Request{Operation: operation, Metadata: map[string]string{}}
	if data != "" {
		req.Data = []byte(data)
	}
	for i := 0; i < len(more); i += 2 {
		req.Metadata[more[i]] = more[i+1]
	}
	return req
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "binding", Type)
	for name, addr := range map[string]string{"Node": testserver.Redis(t).Addr, "Cluster": testserver.RedisCluster(t, 2)[0].Addr} {
		t.Run(name, func(t *testing.T) {
			bindingtest.RunOutput(t, bindingtest.Output{
				New: func(t *testing.T) binding.Binding {
					return mustOpen(t, addr, "redisType", strings.ToLower(name))
				},
				Request: *request("create", "value", "key", "k"),
				Wrong:   request("get", ""),
			})
		})
	}
}

// Each operation answers as Dapr's does and leaves what it leaves: whichever of the two
// is asked, in turns.
func TestAsDapr(t *testing.T) {
	server := testserver.Redis(t)
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	ours := mustOpen(t, server.Addr)
	theirs := daprredis.NewRedis(logger.NewLogger("test"))
	if err := theirs.Init(t.Context(), bindings.Metadata{Base: metadata.Base{Properties: map[string]string{"redisHost": server.Addr}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	invoke := func(who int, req *binding.Request) (answer string, failed bool) {
		if who == 0 {
			resp, err := ours.Invoke(t.Context(), req)
			if err != nil {
				return "", true
			}
			return string(resp.Data), len(resp.Metadata) > 0
		}
		resp, err := theirs.Invoke(t.Context(), &bindings.InvokeRequest{Operation: bindings.OperationKind(req.Operation), Data: req.Data, Metadata: req.Metadata})
		if err != nil || resp == nil {
			return "", err != nil
		}
		return string(resp.Data), len(resp.Metadata) > 0
	}
	steps := []struct {
		req    *binding.Request
		answer string
		failed bool
		left   string // "": there is none
		ttl    time.Duration
	}{
		{request("get", "", "key", "k"), "", false, "", -2},
		{request("create", "one", "key", "k"), "", false, "one", -1},
		{request("get", "", "key", "k"), "one", false, "one", -1},
		{request("create", "two", "key", "k", "ttlInSeconds", "100"), "", false, "two", 100 * time.Second},
		{request("create", "3", "key", "k", "ttl", "50s"), "", false, "3", 50 * time.Second},
		{request("increment", "", "key", "k"), "", false, "4", 50 * time.Second},
		{request("increment", "", "key", "k", "TTLINSECONDS", "200"), "", false, "5", 200 * time.Second},
		{request("create", "6", "key", "k"), "", false, "6", -1},
		{request("get", "", "key", "k", "delete", "no"), "6", false, "6", -1},
		{request("get", "", "key", "k", "delete", "true"), "6", false, "", -2},
		{request("get", "", "key", "k", "delete", "true"), "", false, "", -2},
		{request("increment", "", "key", "k"), "", false, "1", -1},
		{request("delete", "", "key", "k"), "", false, "", -2},
		{request("delete", "", "key", "k"), "", false, "", -2},
		{request("create", "", "key", "k"), "", false, "", -1},
		{request("create", "text", "key", "k"), "", false, "text", -1},
		{request("increment", "", "key", "k"), "", true, "text", -1},
		{request("increment", "", "key", "k", "ttl", "50s"), "", true, "text", -1},
		{request("list", "", "key", "k"), "", true, "text", -1},
		{request("get", ""), "", true, "text", -1},
		{request("get", "", "key", ""), "", true, "text", -1},
		{request("delete", "", "key", "k"), "", false, "", -2},
	}
	for turn := range 2 {
		for i, step := range steps {
			answer, failed := invoke((i+turn)%2, step.req)
			left := c.Get(t.Context(), "k").Val()
			ttl := c.TTL(t.Context(), "k").Val()
			if answer != step.answer || failed != step.failed || left != step.left {
				t.Errorf("turn %d: %s %v: answer %q, failed: %t, left %q", turn, step.req.Operation, step.req.Metadata, answer, failed, left)
			}
			if step.ttl < 0 && ttl != step.ttl || step.ttl > 0 && (ttl > step.ttl || ttl < step.ttl-40*time.Second) {
				t.Errorf("turn %d: %s %v: lives %s, want %s", turn, step.req.Operation, step.req.Metadata, ttl, step.ttl)
			}
		}
	}
	for _, bad := range []string{"0", "-1", "soon", "1us"} {
		if _, failed := invoke(0, request("create", "x", "key", "k", "ttlInSeconds", bad)); !failed || c.Exists(t.Context(), "k").Val() != 0 {
			t.Errorf("ttlInSeconds %q is taken, or something was done", bad)
		}
	}
	if _, failed := invoke(0, request("create", "x", "key", "k", "ttlInSeconds", "9223372036854775807")); failed {
		t.Error("a very long time is refused")
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Redis(t)
	link := testserver.NewLink(t, server.Addr)
	away := func(what string, err error) {
		t.Helper()
		if !components.IsAway(err) || !strings.Contains(err.Error(), link.Addr) {
			t.Errorf("%s: %v, want an error of a server that is away, with its address", what, err)
		}
	}
	link.Cut()
	_, err := open(t, link.Addr, "maxRetries", "-1")
	away("down at the start", err)
	link.Mend()
	b := mustOpen(t, link.Addr, "maxRetries", "-1")
	link.Cut()
	for _, req := range []*binding.Request{
		request("create", "x", "key", "k"), request("get", "", "key", "k"), request("delete", "", "key", "k"), request("increment", "", "key", "k", "ttl", "1h"),
	} {
		_, err := b.Invoke(t.Context(), req)
		away(req.Operation, err)
	}
	away("health", b.Check(t.Context()))
	link.Mend()
	// The pool tries once a second, after many failures, whether the server is back.
	eventually(t, "health does not come back", func() bool { return b.Check(t.Context()) == nil })
	if _, err := b.Invoke(t.Context(), request("create", "x", "key", "k")); err != nil {
		t.Error(err)
	}
	slow := mustOpen(t, link.Addr, "readTimeout", "300ms", "dialTimeout", "300ms")
	link.Hold()
	if _, err := slow.Invoke(t.Context(), request("get", "", "key", "k")); !components.IsLate(err) {
		t.Errorf("a server that hangs: %v", err)
	}
	link.Mend()
	eventually(t, "a server that hung does not come back", func() bool {
		_, err := slow.Invoke(t.Context(), request("get", "", "key", "k"))
		return err == nil
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(testserver.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal(what)
		}
	}
}

// Health tells what making a key would hear, once one was made, and changes nothing.
func TestHealth(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~app*", "+@all")
	if _, err := open(t, server.Addr, "redisUsername", "app", "redisPassword", "wrong-pw"); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wrong-pw") {
		t.Errorf("a wrong password: %v", err)
	}
	b := mustOpen(t, server.Addr, "redisUsername", "app", "redisPassword", "pw", "maxRetries", "-1")
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("new: %v", err)
	}
	if _, err := b.Invoke(t.Context(), request("create", "v", "key", "other")); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("a key of others: %v", err)
	}
	if _, err := b.Invoke(t.Context(), request("create", "v", "key", "app")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		words   string // of the error; "": healthy
		command []string
	}{
		{"", []string{"PING"}},
		{"NOPERM", []string{"ACL", "SETUSER", "app", "-set"}},
		{"", []string{"ACL", "SETUSER", "app", "+set"}},
		{"NOPERM", []string{"ACL", "SETUSER", "app", "resetkeys", "~other*"}},
		{"", []string{"ACL", "SETUSER", "app", "resetkeys", "~app*"}},
		{"OOM", []string{"CONFIG", "SET", "maxmemory", "1"}},
		{"", []string{"CONFIG", "SET", "maxmemory", "0"}},
		{"READONLY", []string{"REPLICAOF", "127.0.0.1", "1"}},
		{"", []string{"REPLICAOF", "NO", "ONE"}},
	} {
		if reply := server.Command(step.command...); strings.HasPrefix(reply, "-") {
			t.Fatalf("%v: %s", step.command, reply)
		}
		if err := b.Check(t.Context()); (err == nil) != (step.words == "") || err != nil && !strings.Contains(err.Error(), step.words) {
			t.Errorf("after %v: Check says %v, want an error with %q", step.command, err, step.words)
		}
	}
	if resp, err := b.Invoke(t.Context(), request("get", "", "key", "app")); err != nil || string(resp.Data) != "v" {
		t.Errorf("checks have changed the key: %+v %v", resp, err)
	}
}

func TestSettings(t *testing.T) {
	for want, settings := range map[string]map[string]any{
		"redisHost: is missing":         {},
		"useEntraID: there is no login": {"redisHost": "h:1", "useEntraID": "true"},
		"direction: \"input\"":          {"redisHost": "h:1", "direction": "input"},
	} {
		_, err := New(t.Context(), components.Env{}, components.Config{Path: "bindings.test", Metadata: settings})
		if err == nil || !strings.Contains(err.Error(), "bindings.test.metadata."+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	mustOpen(t, testserver.Redis(t).Addr, "direction", "Output", "useEntraID", "false", "redisDB", "2")
}

func FuzzTimeToLive(f *testing.F) {
	for _, seed := range []string{"1", "-1", "5m", "1e9", "9999999999999", "1us"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ttl, err := ttlOf(map[string]string{"ttlInSeconds": text})
		if err == nil && text != "" && ttl < time.Millisecond {
			t.Errorf("%q is %s", text, ttl)
		}
	})
}
