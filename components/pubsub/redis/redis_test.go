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
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
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
	_ pubsub.Delayer     = (*Broker)(nil)
	_ components.Checker = (*Broker)(nil)
)

func tryNew(ctx context.Context, group string, metadata map[string]any) (*Broker, error) {
	b, err := New(ctx, components.Env{AppID: group}, components.Config{Name: "events", Type: Type, Path: "pub_subs.events", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return b.(*Broker), nil
}

func newBroker(t *testing.T, server *testserver.RedisServer, group string, more ...any) *Broker {
	t.Helper()
	metadata := map[string]any{"redisHost": server.Addr, "redisPassword": "", "processingTimeout": "500ms", "redeliverInterval": "500"}
	for i := 0; i < len(more); i += 2 {
		metadata[more[i].(string)] = more[i+1]
	}
	b, err := tryNew(t.Context(), group, metadata)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "pubsub", Type)
	server := testserver.Redis(t)
	for _, concurrency := range []int{10, 1} {
		t.Run(fmt.Sprint("Concurrency", concurrency), func(t *testing.T) {
			pubsubtest.Run(t, pubsubtest.Options{Connect: func(t *testing.T, group string) pubsub.Broker {
				return newBroker(t, server, group, "concurrency", concurrency)
			}})
		})
	}
}

// inbox counts what arrives.
type inbox struct {
	mu  sync.Mutex
	got map[string]int
}

func (in *inbox) take(_ context.Context, m *pubsub.Message) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.got == nil {
		in.got = map[string]int{}
	}
	in.got[string(m.Data)]++
	return nil
}

func (in *inbox) len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.got)
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	testserver.Eventually(t, testserver.Patience, func() error {
		if !cond() {
			return errors.New(what)
		}
		return nil
	})
}

func publish(t *testing.T, b *Broker, topic, data string) {
	t.Helper()
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: topic, Data: []byte(data), Metadata: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
}

func subscribe(t *testing.T, b *Broker, topic string, h pubsub.Handler) {
	t.Helper()
	if _, err := b.Subscribe(t.Context(), pubsub.Subscription{Topic: topic}, h); err != nil {
		t.Fatal(err)
	}
}

// What a process that died had in its hands is handled by another one, and nothing
// else twice.
func TestCrash(t *testing.T) {
	server := testserver.Redis(t)
	dying := newBroker(t, server, "g", "queueDepth", 5)
	var began atomic.Int32
	subscribe(t, dying, "t", func(ctx context.Context, _ *pubsub.Message) error {
		began.Add(1)
		<-ctx.Done()
		return ctx.Err()
	})
	for i := range 20 {
		publish(t, dying, "t", fmt.Sprint(i))
	}
	eventually(t, "deliveries", func() bool { return began.Load() == 5 })
	_ = dying.client.Close() // so that it can give nothing back
	_ = dying.Close()
	in := &inbox{}
	// What it handles itself is to be acknowledged by then on any machine.
	subscribe(t, newBroker(t, server, "g", "processingTimeout", "3s"), "t", in.take)
	eventually(t, "all messages", func() bool { return in.len() == 20 })
	for data, n := range in.got {
		if n != 1 {
			t.Errorf("message %s was handled %d times", data, n)
		}
	}
}

// A handler may take longer than processingTimeout; nobody else gets its message.
func TestSlowHandler(t *testing.T) {
	server := testserver.Redis(t)
	testserver.OnceOf(t, func(try int) error { return slowHandler(t, server, fmt.Sprint("t", try)) })
}

// slowHandler returns an error when a message came twice.
func slowHandler(t *testing.T, server *testserver.RedisServer, topic string) error {
	t.Helper()
	var calls atomic.Int32
	for range 2 {
		subscribe(t, newBroker(t, server, "g"), topic, func(ctx context.Context, _ *pubsub.Message) error {
			calls.Add(1)
			timer := time.NewTimer(1600 * time.Millisecond)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	b := newBroker(t, server, "g")
	publish(t, b, topic, "slow")
	eventually(t, "the acknowledgement", func() bool {
		return calls.Load() > 0 && strings.HasPrefix(server.Command("XPENDING", topic, "g"), "*4") && pendingCount(t, b, topic) == 0
	})
	if n := calls.Load(); n != 1 {
		return fmt.Errorf("%d calls, want 1", n)
	}
	return nil
}

func pendingCount(t *testing.T, b *Broker, topic string) int64 {
	t.Helper()
	p, err := b.rawPending(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The server dies and comes back with what it has written to disk.
func TestServerRestarts(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisArgs("--appendonly", "yes", "--appendfsync", "always"))
	b := newBroker(t, server, "g")
	in := &inbox{}
	subscribe(t, b, "t", in.take)
	publish(t, b, "t", "before")
	eventually(t, "the first", func() bool { return in.len() == 1 })
	server.Stop()
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: "t", Data: []byte("lost")}); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("publishing to nobody: %v", err)
	}
	if err := b.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong")
	}
	server.Start()
	publish(t, b, "t", "after")
	eventually(t, "the second", func() bool { return in.len() == 2 })
	eventually(t, "health", func() bool { return b.Check(t.Context()) == nil })
}

// A server that has lost everything: the group is made again.
func TestServerForgets(t *testing.T) {
	server := testserver.Redis(t)
	b := newBroker(t, server, "g")
	in := &inbox{}
	subscribe(t, b, "t", in.take)
	server.Command("FLUSHALL")
	publish(t, b, "t", "after")
	eventually(t, "the message", func() bool { return in.len() == 1 })
}

// The layout is Dapr's.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	b := newBroker(t, server, "g", "maxLenApprox", 100, "processingTimeout", "1h")
	got := make(chan *pubsub.Message, 1)
	subscribe(t, b, "t", func(_ context.Context, m *pubsub.Message) error {
		got <- m
		return nil
	})
	server.Command("XADD", "t", "*", "data", "by another sidecar", "metadata", `{"a":"b"}`)
	if m := <-got; string(m.Data) != "by another sidecar" || m.Metadata["a"] != "b" {
		t.Errorf("got %+v", m)
	}
	server.Command("XADD", "t", "*", "data", "odd", "metadata", `nothing`)
	if m := <-got; string(m.Data) != "odd" {
		t.Errorf("got %+v", m)
	}
	server.Command("XADD", "t", "*", "else", "no data")
	if m := <-got; len(m.Data) != 0 {
		t.Errorf("got %+v", m)
	}
}

// Messages for later survive the process that published them.
func TestDelayedSurvives(t *testing.T) {
	server := testserver.Redis(t)
	first := newBroker(t, server, "g")
	in := &inbox{}
	m := &pubsub.Message{Topic: "t", Data: []byte("\x00later\xff"), Metadata: map[string]string{"k": "v"}}
	if _, err := first.PublishDelayed(t.Context(), m, 700*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	subscribe(t, newBroker(t, server, "g"), "t", in.take)
	eventually(t, "the message", func() bool { return in.len() == 1 })
	if in.got["\x00later\xff"] != 1 {
		t.Errorf("got %v", in.got)
	}
	eventually(t, "no other key is left behind", func() bool { return server.Command("DBSIZE") == ":1" })
}

func TestErrorsAtStart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	server := testserver.Redis(t, testserver.RedisPassword("s3cret"))
	for text, metadata := range map[string]map[string]any{
		"NOAUTH":                     {"redisHost": server.Addr},
		"WRONGPASS":                  {"redisHost": server.Addr, "redisPassword": "wr0ng"},
		"127.0.0.1:1":                {"redisHost": "127.0.0.1:1", "maxRetries": -1},
		"has the type redis.cluster": {"redisHost": server.Addr, "redisType": "cluster"},
		"leave one out":              {"redisHost": server.Addr, "maxLenApprox": 1, "streamTTL": "1h"},
		"concurrency":                {"redisHost": server.Addr, "concurrency": 0},
	} {
		b, err := tryNew(ctx, "g", metadata)
		if err == nil {
			_ = b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%v: %v, want %q", metadata, err, text)
		}
	}
}

// With processingTimeout or redeliverInterval 0, as Dapr has it, nothing is taken
// over from the dead; the rest works.
func TestWithoutTakingOver(t *testing.T) {
	server := testserver.Redis(t)
	for i, key := range []string{"processingTimeout", "redeliverInterval"} {
		topic := fmt.Sprint("t", i)
		b := newBroker(t, server, "g", key, 0)
		in := &inbox{}
		var failed atomic.Bool
		subscribe(t, b, topic, func(ctx context.Context, m *pubsub.Message) error {
			if !failed.Swap(true) {
				return errors.New("not at once")
			}
			return in.take(ctx, m)
		})
		publish(t, b, topic, "x")
		eventually(t, "the redelivery", func() bool { return in.len() == 1 })
	}
}

// A server that hangs fails calls in time.
func TestServerHangs(t *testing.T) {
	server := testserver.Redis(t)
	b := newBroker(t, server, "g", "readTimeout", "300ms", "maxRetries", "-1")
	server.Pause()
	defer server.Resume()
	start := time.Now()
	err := b.Publish(t.Context(), &pubsub.Message{Topic: "t", Data: []byte("x")})
	if d := time.Since(start); err == nil || d > 30*time.Second || errors.Is(err, pubsub.ErrInvalid) {
		t.Errorf("after %s: %v", d, err)
	}
}
