package later_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/later"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
)

// childEnv has the test binary be a process that takes messages until it is killed.
const childEnv = "LATER_TEST_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		takeUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// plain hides what a broker can do beyond the contract.
type plain struct{ pubsub.Broker }

// broker makes a broker with delays over inner, with a file at path.
func broker(ctx context.Context, inner pubsub.Broker, path string) (pubsub.Broker, error) {
	return later.Over(func(context.Context, components.Env, components.Config) (pubsub.Broker, error) { return inner, nil })(
		ctx, components.Env{}, components.Config{Name: "b", Path: "pub_subs.b", Metadata: map[string]any{"delayStore": "embedded", "DelayPath": path}})
}

func newBroker(t *testing.T, inner pubsub.Broker, path string) pubsub.Broker {
	t.Helper()
	b, err := broker(t.Context(), inner, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func newMemory(t *testing.T) pubsub.Broker {
	t.Helper()
	b, err := memory.New(t.Context(), components.Env{AppID: "app"}, components.Config{Name: "events", Path: "pub_subs.events"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// member is a broker's view of one group.
type member struct {
	pubsub.Broker
	group string
}

func (m member) Subscribe(ctx context.Context, s pubsub.Subscription, h pubsub.Handler) (<-chan struct{}, error) {
	s.Metadata = maps.Clone(s.Metadata)
	if s.Metadata == nil {
		s.Metadata = map[string]string{}
	}
	s.Metadata[pubsub.ConsumerKey] = m.group
	return m.Broker.Subscribe(ctx, s, h)
}

func TestConformance(t *testing.T) {
	shared := map[*testing.T]pubsub.Broker{}
	pubsubtest.Run(t, pubsubtest.Options{FakeTime: true, Connect: func(t *testing.T, group string) pubsub.Broker {
		if shared[t] == nil {
			shared[t] = newMemory(t)
		}
		return newBroker(t, plain{member{shared[t], group}}, filepath.Join(t.TempDir(), "later.db"))
	}})
}

// scripted is a broker that takes what its answer says.
type scripted struct {
	pubsub.Broker
	mu     sync.Mutex
	answer func(data string) error
	taken  []string
}

func (s *scripted) Publish(ctx context.Context, m *pubsub.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.answer(string(m.Data))); err != nil {
		return err
	}
	s.taken = append(s.taken, string(m.Data))
	return nil
}

func (s *scripted) Close() error { return nil }

func (s *scripted) set(answer func(data string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *scripted) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.taken, " ")
}

func takesAll(string) error { return nil }

func publish(t *testing.T, b pubsub.Broker, data string, delay time.Duration) {
	t.Helper()
	id, err := b.(pubsub.Delayer).PublishDelayed(t.Context(), &pubsub.Message{Topic: "t", Data: []byte(data), Metadata: map[string]string{"k": "v"}}, delay)
	if err != nil || (id == "") != (delay <= 0) {
		t.Fatalf("%q, %v", id, err)
	}
}

// Messages are published when they are due, to the moment, also those that were due
// while nobody ran.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "folder", "later.db")
		s := &scripted{answer: takesAll}
		first := newBroker(t, s, path)
		for data, delay := range map[string]time.Duration{"hour": time.Hour, "ages": time.Duration(1<<63 - 1), "now": 0, "3 hours": 3 * time.Hour} {
			publish(t, first, data, delay)
		}
		due := time.Now().Add(time.Minute)
		publish(t, first, "minute", time.Minute)
		time.Sleep(time.Until(due) - time.Nanosecond)
		synctest.Wait()
		if got := s.got(); got != "now" {
			t.Errorf("before its time: %s", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := s.got(); got != "now minute" {
			t.Errorf("at its time: %s", got)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := first.(pubsub.Delayer).PublishDelayed(t.Context(), &pubsub.Message{Topic: "t"}, time.Hour); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if got := s.got(); got != "now minute" {
			t.Errorf("published after Close: %s", got)
		}
		newBroker(t, s, path)
		synctest.Wait()
		if got := s.got(); got != "now minute hour" {
			t.Errorf("after the next start: %s", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := s.got(); got != "now minute hour 3 hours" {
			t.Errorf("in the end: %s", got)
		}
	})
}

// A broker that is away gets everything when it is back; a message that it fails on
// stands in nobody's way, and one that it calls invalid is dropped.
func TestBrokerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{answer: func(string) error { return errors.New("away") }}
		b := newBroker(t, s, filepath.Join(t.TempDir(), "later.db"))
		for i := range 5 {
			publish(t, b, fmt.Sprint(i), time.Second)
		}
		time.Sleep(time.Minute)
		s.set(func(data string) error {
			switch data {
			case "1":
				return errors.New("not this one")
			case "2":
				return fmt.Errorf("%w: too large", pubsub.ErrInvalid)
			}
			return nil
		})
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		if got := strings.Fields(s.got()); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"0", "3", "4"}) {
			t.Errorf("back: %v", got)
		}
		s.set(takesAll)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := strings.Fields(s.got()); len(got) != 4 || got[3] != "1" {
			t.Errorf("in the end: %v", got)
		}
		publish(t, b, "5", time.Millisecond)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := strings.Fields(s.got()); got[len(got)-1] != "5" {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// slow is a broker that has a message at once and says so after a while.
type slow struct {
	scripted
	after time.Duration
}

func (s *slow) Publish(ctx context.Context, m *pubsub.Message) error {
	if err := s.scripted.Publish(ctx, m); err != nil {
		return err
	}
	select {
	case <-time.After(s.after):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A message that is on its way to the broker when the process ends in peace is not
// published again with the next start; a broker that hangs does not keep it from ending.
func TestCloseWhilePublishing(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Second: "1 2", time.Hour: "1 1 2"} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "later.db")
			s := &slow{scripted: scripted{answer: takesAll}, after: after}
			b, err := broker(t.Context(), s, path)
			if err != nil {
				t.Fatal(err)
			}
			publish(t, b, "1", time.Minute)
			publish(t, b, "2", time.Minute+time.Nanosecond)
			time.Sleep(time.Minute + 100*time.Millisecond)
			synctest.Wait()
			begin := time.Now()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); s.got() != "1" || took > 2*time.Second {
				t.Errorf("answers after %s: %q after Close, which took %s", after, s.got(), took)
			}
			s.after = 0
			newBroker(t, s, path)
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := s.got(); got != want {
				t.Errorf("answers after %s: %q, want %q", after, got, want)
			}
		})
	}
}

// takeUntilKilled takes messages for later and says so, one after the other from
// several goroutines, until the process is killed. It publishes none.
func takeUntilKilled(path string) {
	b, err := broker(context.Background(), &scripted{answer: func(string) error { return errors.New("away") }}, path)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				data := fmt.Sprintf("%d-%d", i, n)
				if _, err := b.(pubsub.Delayer).PublishDelayed(context.Background(), &pubsub.Message{Topic: "t", Data: []byte(data)}, time.Second); err != nil {
					panic(err)
				}
				fmt.Println(data)
			}
		})
	}
	wg.Wait()
}

// A process that is killed loses nothing that it has taken.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var taken []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if taken = append(taken, lines.Text()); len(taken) == 200 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if len(taken) < 200 {
		t.Fatalf("it ended after %d messages", len(taken))
	}
	s := &scripted{answer: takesAll}
	newBroker(t, s, path)
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for missing := taken; len(missing) > 0; {
		got := map[string]bool{}
		for _, data := range strings.Fields(s.got()) {
			got[data] = true
		}
		missing = slices.DeleteFunc(slices.Clone(taken), func(data string) bool { return got[data] })
		select {
		case <-deadline.C:
			t.Fatalf("%d of %d were taken and never published: %v", len(missing), len(taken), missing)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	make := func(inner pubsub.Broker, dataDir string, metadata map[string]any) (pubsub.Broker, error) {
		return later.Over(func(_ context.Context, _ components.Env, cfg components.Config) (pubsub.Broker, error) {
			if len(cfg.Metadata) != 1 || cfg.Metadata["brokers"] != "b" {
				t.Errorf("the broker's own settings: %v", cfg.Metadata)
			}
			return inner, nil
		})(t.Context(), components.Env{DataDir: dataDir}, components.Config{Name: "a/b", Path: "pub_subs.x", Metadata: metadata})
	}
	s := &scripted{answer: takesAll}
	if b, err := make(s, "", map[string]any{"brokers": "b"}); err != nil || b != pubsub.Broker(s) {
		t.Errorf("without it: %v, %v", b, err)
	}
	b, err := make(s, dir, map[string]any{"brokers": "b", "delaystore": "embedded"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.(components.Checker).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for text, call := range map[string]func() (pubsub.Broker, error){
		"another process has it open": func() (pubsub.Broker, error) {
			return make(s, dir, map[string]any{"brokers": "b", "delayStore": "embedded"})
		},
		"pub_subs.x.metadata.delayPath": func() (pubsub.Broker, error) {
			return make(s, "", map[string]any{"brokers": "b", "delayStore": "embedded"})
		},
		"is given without delayStore": func() (pubsub.Broker, error) {
			return make(s, dir, map[string]any{"brokers": "b", "delayPath": "x"})
		},
		"pub_subs.x.metadata.delayStore": func() (pubsub.Broker, error) {
			return make(s, dir, map[string]any{"brokers": "b", "delayStore": "postgres"})
		},
		"delays of its own": func() (pubsub.Broker, error) {
			return make(newMemory(t), dir, map[string]any{"brokers": "b", "delayStore": "embedded"})
		},
	} {
		if b, err := call(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, %v, want %q", b, err, text)
		}
	}
	if err := os.Remove(filepath.Join(dir, "later", "a%2Fb.db")); err != nil {
		t.Error(err)
	}
	if err := b.(components.Checker).Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a file that is gone")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// How many messages wait, and how large they are, is bounded: what is more is refused
// with the setting's name, the rest is kept, and there is room again when some are
// published. Once it is warned before.
func TestLimits(t *testing.T) {
	for setting, limits := range map[string]map[string]any{
		"delayMaxMessages": {"delayMaxMessages": "10"},
		"delayMaxBytes":    {"delaymaxbytes": 10_500},
	} {
		t.Run(setting, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{answer: takesAll}
				limits := maps.Clone(limits)
				limits["delayStore"], limits["delayPath"] = "embedded", filepath.Join(t.TempDir(), "later.db")
				var log strings.Builder
				made, err := later.Over(func(_ context.Context, _ components.Env, cfg components.Config) (pubsub.Broker, error) {
					if len(cfg.Metadata) != 0 {
						t.Errorf("the broker sees %v", cfg.Metadata)
					}
					return s, nil
				})(t.Context(), components.Env{Log: slog.New(slog.NewTextHandler(&log, nil))}, components.Config{Name: "b", Path: "pub_subs.b", Metadata: limits})
				if err != nil {
					t.Fatal(err)
				}
				b := made.(*later.Broker)
				warnings := func() int { synctest.Wait(); return strings.Count(log.String(), "nearly full") }
				add := func() error {
					_, err := b.PublishDelayed(t.Context(), &pubsub.Message{Topic: "t", Data: []byte(strings.Repeat("d", 750))}, time.Hour)
					return err
				}
				fill := func() {
					t.Helper()
					for i := range 10 {
						if err := add(); err != nil {
							t.Fatalf("message %d: %v", i, err)
						}
					}
				}
				fill()
				if n := warnings(); n != 1 {
					t.Errorf("%d warnings", n)
				}
				for range 2 {
					if err := add(); !errors.Is(err, pubsub.ErrFull) || !strings.Contains(err.Error(), setting+" is 10") {
						t.Errorf("one too many: %v", err)
					}
				}
				if told := b.Tell(); told["delayed_messages"] != int64(10) || told["delayed_bytes"].(int64) < 10_000 || told["delayMaxMessages"].(int64) < 10 {
					t.Errorf("it tells %v", told)
				}
				time.Sleep(2 * time.Hour)
				if told := b.Tell(); told["delayed_messages"] != int64(0) || told["delayed_bytes"] != int64(0) || strings.Count(s.got(), "d") != 7500 {
					t.Errorf("when all are published it tells %v", told)
				}
				fill()
				if n := warnings(); n != 2 {
					t.Errorf("%d warnings the second time", n)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
