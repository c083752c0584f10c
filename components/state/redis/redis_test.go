package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-redis looks once a second whether a lost server is back, and notices
		// only then that the client was closed.
		goleak.IgnoreAnyFunction("github.com/go-redis/redis/v8/internal/pool.(*ConnPool).tryDial"))
}

var (
	_ state.BulkGetter   = (*Store)(nil)
	_ state.BulkWriter   = (*Store)(nil)
	_ state.Transactor   = (*Store)(nil)
	_ components.Checker = (*Store)(nil)
)

// metadata is a component's metadata for the server; more are further pairs.
func metadata(server *testserver.RedisServer, more ...any) map[string]any {
	m := map[string]any{"redisHost": server.Addr, "redisPassword": ""}
	for i := 0; i < len(more); i += 2 {
		m[more[i].(string)] = more[i+1]
	}
	return m
}

func tryNew(ctx context.Context, m map[string]any) (*Store, error) {
	s, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "state.test", Metadata: m})
	if err != nil {
		return nil, err
	}
	return s.(*Store), nil
}

func newStore(tb testing.TB, m map[string]any) *Store {
	tb.Helper()
	s, err := tryNew(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func set(tb testing.TB, s *Store, key, value string) {
	tb.Helper()
	if err := s.Write(tb.Context(), state.Op{Key: key, Value: []byte(value)}); err != nil {
		tb.Fatal(err)
	}
}

func get(tb testing.TB, s *Store, key string) *state.Item {
	tb.Helper()
	item, err := s.Get(tb.Context(), state.Get{Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	return item
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "state", "redis")
	server := testserver.Redis(t)
	statetest.Run(t, statetest.Options{New: func(t *testing.T) state.Store {
		s, err := tryNew(t.Context(), metadata(server))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

func TestConformanceOneConnection(t *testing.T) {
	matrix.Backend(t, "state", "redis")
	server := testserver.Redis(t, testserver.RedisPassword("p w"))
	statetest.Run(t, statetest.Options{New: func(t *testing.T) state.Store {
		s, err := tryNew(t.Context(), metadata(server, "redisPassword", "p w", "poolSize", "1", "redisDB", "3"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

func TestSentinel(t *testing.T) {
	master := testserver.Redis(t)
	sentinel := testserver.RedisSentinel(t, master, "themaster")
	s := newStore(t, metadata(sentinel, "failover", "true", "sentinelMasterName", "themaster"))
	set(t, s, "k", "v")
	if got := master.Command("HGET", "k", "data"); got != "$1" {
		t.Fatalf("the master has %s", got)
	}
	master.Stop()
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check does not notice that the master is gone")
	}
	master.Start()
	eventually(t, func() error { return s.Check(t.Context()) })

	_, err := tryNew(t.Context(), metadata(sentinel, "failover", "true", "sentinelMasterName", "another"))
	if err == nil {
		t.Error("an unknown master is no error")
	}
}

func TestTLS(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisTLS())
	s := newStore(t, metadata(server, "enableTLS", "true", "caCert", server.CA))
	set(t, s, "k", "v")
	if get(t, s, "k") == nil {
		t.Fatal("nothing there")
	}
	server.Stop()
	server.Start()
	eventually(t, func() error { return s.Check(t.Context()) })
	set(t, s, "k", "v")

	_, err := tryNew(t.Context(), metadata(server, "enableTLS", "true"))
	if err == nil || !strings.Contains(err.Error(), "unknown authority") || !strings.Contains(err.Error(), "caCert") {
		t.Errorf("with a certificate of an unknown authority: %v", err)
	}
	newStore(t, metadata(server, "enableTLS", "true", "insecureSkipTLSVerify", "true"))
	if _, err := tryNew(t.Context(), metadata(server, "readTimeout", "500ms")); err == nil {
		t.Error("without TLS: no error")
	}
}

func TestPassword(t *testing.T) {
	const password = "s3cret-pässwörd"
	server := testserver.Redis(t, testserver.RedisPassword(password))
	newStore(t, metadata(server, "redisPassword", password))
	newStore(t, metadata(server, "redisPassword", password, "redisUsername", "default"))
	for _, m := range []map[string]any{
		metadata(server),
		metadata(server, "redisPassword", "wrong-"+password),
		metadata(server, "redisPassword", password, "redisUsername", "nobody"),
		metadata(testserver.Redis(t), "redisPassword", password),
	} {
		_, err := tryNew(t.Context(), m)
		if err == nil {
			t.Errorf("%v: no error", m)
			continue
		}
		if strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), m["redisHost"].(string)) {
			t.Errorf("error %q: want the address, and not the password", err)
		}
	}
}

// Data of Dapr or Layotto: what they write can be read, and the other way round.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	server.Command("HSET", "theirs", "data", "value", "version", "7", "first-write", "0")
	item := get(t, s, "theirs")
	if item == nil || string(item.Value) != "value" || item.ETag != "7" {
		t.Fatalf("theirs: %+v", item)
	}
	if err := s.Write(t.Context(), state.Op{Key: "theirs", Value: []byte("new"), ETag: "7", HasETag: true}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"HSTRLEN", "theirs", "data"}, ":3"},
		{[]string{"HINCRBY", "theirs", "version", "0"}, ":8"},
		{[]string{"HLEN", "theirs"}, ":3"},
		{[]string{"TTL", "theirs"}, ":-1"},
	} {
		if got := server.Command(tt.args...); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.args, got, tt.want)
		}
	}
	set(t, s, "ours", "v")
	if got := server.Command("HLEN", "ours"); got != ":2" {
		t.Errorf("a plain item has %s fields, want data and version", got)
	}
	err := s.Write(t.Context(), state.Op{Key: "first", Value: []byte("v"), TTL: time.Hour, Options: state.Options{Concurrency: state.FirstWrite}})
	if err != nil {
		t.Fatal(err)
	}
	if got := server.Command("HEXISTS", "first", "first-write"); got != ":1" {
		t.Error("a first-write leaves no mark")
	}
	if got := server.Command("TTL", "first"); got > ":3600" || got < ":3000" || len(got) != 5 { // some time has passed
		t.Errorf("TTL %s", got)
	}
}

// What is not an item is reported, and left as it is, by every call.
func TestForeignValues(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	server.Command("SET", "string", "text")
	server.Command("RPUSH", "list", "x")
	server.Command("HSET", "hash", "name", "x")
	server.Command("HSET", "odd", "data", "x", "version", "one")
	server.Command("HSET", "huge", "data", "x", "version", "9223372036854775807")
	for _, key := range []string{"string", "list", "hash", "odd", "huge"} {
		digest := func() string {
			return server.Command("EVAL", "return {ok = redis.sha1hex(redis.call('DUMP', KEYS[1]))}", "1", key)
		}
		before := digest()
		item, err := s.Get(t.Context(), state.Get{Key: key})
		if err == nil && (key != "odd" && key != "huge" || item == nil) {
			t.Errorf("%s: Get: %+v, no error", key, item)
		}
		ops := map[string]error{
			"set":         s.Write(t.Context(), state.Op{Key: key, Value: []byte("v")}),
			"set if":      s.Write(t.Context(), state.Op{Key: key, Value: []byte("v"), ETag: "1", HasETag: true}),
			"first write": s.Write(t.Context(), state.Op{Key: key, Options: state.Options{Concurrency: state.FirstWrite}}),
			"delete":      s.Write(t.Context(), state.Op{Key: key, Delete: true}),
			"transact":    s.Transact(t.Context(), []state.Op{{Key: "other"}, {Key: key}}),
			"bulk":        s.BulkWrite(t.Context(), []state.Op{{Key: key}})[0],
		}
		for name, err := range ops {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) || !strings.Contains(err.Error(), "not a state item") {
				t.Errorf("%s: %s: %v", key, name, err)
			}
		}
		if after := digest(); after != before || len(after) != 41 {
			t.Errorf("%s was changed", key)
		}
	}
	if get(t, s, "other") != nil {
		t.Error("a refused transaction was half carried out")
	}
}

func TestDefaultTTL(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server, "ttlInSeconds", "100"))
	set(t, s, "default", "v")
	for _, err := range s.BulkWrite(t.Context(), []state.Op{
		{Key: "own", TTL: 1000 * time.Second},
		{Key: "none", Metadata: map[string]string{"ttlInSeconds": "-1"}},
		{Key: "in another case", Metadata: map[string]string{"TTLInSeconds": "-1"}},
		{Key: "endless", TTL: 1<<63 - 1},
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]time.Duration{"default": 100 * time.Second, "own": 1000 * time.Second, "none": 0, "in another case": 0, "endless": maxTTL} {
		item := get(t, s, key)
		switch {
		case item == nil:
			t.Errorf("%s is not there", key)
		case want == 0 && !item.ExpiresAt.IsZero():
			t.Errorf("%s ends at %s", key, item.ExpiresAt)
		case want != 0 && time.Until(item.ExpiresAt.Add(-want)).Abs() > time.Minute:
			t.Errorf("%s ends at %s, want in %s", key, item.ExpiresAt, want)
		}
	}
}

func TestForgottenScripts(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	var wg sync.WaitGroup
	for i := range 20 {
		server.Command("SCRIPT", "FLUSH")
		wg.Go(func() {
			k := fmt.Sprint(i)
			if err := s.Write(t.Context(), state.Op{Key: k, Value: []byte("v")}); err != nil {
				t.Error(err)
			}
			if err := s.Write(t.Context(), state.Op{Key: k, Value: []byte("w"), ETag: "1", HasETag: true}); err != nil {
				t.Error(err)
			}
			if item := get(t, s, k); item == nil || item.ETag != "2" {
				t.Errorf("%+v, want version 2", item)
			}
		})
	}
	wg.Wait()
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	testserver.Eventually(t, testserver.Patience, f)
}

func TestOutage(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	all := func(wantErr bool) error {
		calls := map[string]func() error{
			"Get":   func() error { _, err := s.Get(t.Context(), state.Get{Key: "k"}); return err },
			"Write": func() error { return s.Write(t.Context(), state.Op{Key: "k"}) },
			"first": func() error {
				return errors.Join(
					s.Write(t.Context(), state.Op{Key: "f", Delete: true}),
					s.Write(t.Context(), state.Op{Key: "f", Options: state.Options{Concurrency: state.FirstWrite}}))
			},
			"Transact":  func() error { return s.Transact(t.Context(), []state.Op{{Key: "k"}}) },
			"BulkGet":   func() error { _, err := s.BulkGet(t.Context(), []state.Get{{Key: "k"}}); return err },
			"BulkWrite": func() error { return s.BulkWrite(t.Context(), []state.Op{{Key: "k"}})[0] },
			"Check":     func() error { return s.Check(t.Context()) },
		}
		for name, call := range calls {
			start := time.Now()
			err := call()
			if name == "BulkGet" && err == nil { // its errors are in the results
				res, _ := s.BulkGet(t.Context(), []state.Get{{Key: "k"}})
				err = res[0].Err
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("%s took %s", name, d)
			}
			if wantErr && (err == nil || !strings.Contains(err.Error(), server.Addr)) {
				t.Errorf("%s during the outage: %v, want an error with the address", name, err)
			}
			if !wantErr && err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	if err := all(false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		server.Stop()
		_ = all(true)
		server.Start()
		eventually(t, func() error { return s.Check(t.Context()) })
		if err := all(false); err != nil {
			t.Fatalf("after the outage: %v", err)
		}
	}
}

// A connection that died while nobody used it is no reason for a write to
// fail, not even for one that must not be sent twice.
func TestRestartWhileIdle(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	for i := range 5 {
		key := fmt.Sprint(i)
		server.Stop()
		server.Start() // takes longer than idleAfter
		err := s.Write(t.Context(), state.Op{Key: key, Value: []byte("v"), Options: state.Options{Concurrency: state.FirstWrite}})
		if err != nil {
			t.Fatalf("after restart %d: %v", i, err)
		}
	}
}

// A server that breaks off while many write: nothing fails with a mismatch,
// which would say that another writer came first.
func TestOutageUnderLoad(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var done atomic.Int64
	for w := range 16 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				op := state.Op{Key: fmt.Sprintf("%d/%d", w, n), Value: []byte("v"), Options: state.Options{Concurrency: state.FirstWrite}}
				if err := s.Write(ctx, op); errors.Is(err, state.ErrETagMismatch) {
					t.Errorf("%s: %v", op.Key, err)
				} else if err == nil {
					done.Add(1)
				}
			}
		})
	}
	for range 3 {
		reached := done.Load() + 200
		eventually(t, func() error {
			if n := done.Load(); n < reached {
				return fmt.Errorf("%d writes, want %d", n, reached)
			}
			return nil
		})
		server.Stop()
		server.Start()
	}
	cancel()
	wg.Wait()
}

func TestHangingServer(t *testing.T) {
	server := testserver.Redis(t)
	s := newStore(t, metadata(server, "readTimeout", "300", "poolSize", 2))
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 500 { // more than one round of the lanes
		wg.Go(func() {
			if _, err := s.Get(ctx, state.Get{Key: "k"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a deadline: %v", err)
			}
			_, err := s.Get(t.Context(), state.Get{Key: fmt.Sprint(i)}) //nolint:contextcheck // on purpose without the deadline
			if err == nil || !strings.Contains(err.Error(), server.Addr) {
				t.Errorf("without a deadline: %v", err)
			}
		})
	}
	wg.Wait()
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("it took %s until all calls had failed", d)
	}
	server.Resume()
	eventually(t, func() error { return s.Check(t.Context()) })
}

func TestDownAtStart(t *testing.T) {
	server := testserver.Redis(t)
	server.Stop()
	start := time.Now()
	_, err := tryNew(t.Context(), metadata(server, "redisPassword", "hush"))
	if err == nil || !strings.Contains(err.Error(), server.Addr) || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v, want one with the address and without the password", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tryNew(ctx, metadata(server)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, func(ctx context.Context, s *Store, key string, value []byte) error {
		_, err := s.Get(ctx, state.Get{Key: key})
		return err
	})
}

func BenchmarkSet(b *testing.B) {
	benchmark(b, func(ctx context.Context, s *Store, key string, value []byte) error {
		return s.Write(ctx, state.Op{Key: key, Value: value})
	})
}

func benchmark(b *testing.B, f func(ctx context.Context, s *Store, key string, value []byte) error) {
	server := testserver.Redis(b)
	s := newStore(b, metadata(server))
	value := make([]byte, 1024)
	if err := s.Write(b.Context(), state.Op{Key: "key", Value: value}); err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			var n atomic.Int64
			before := cpu()
			for range callers {
				wg.Go(func() {
					for n.Add(1) <= int64(b.N) {
						if err := f(b.Context(), s, "key", value); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "cpu-us/op")
		})
	}
}
