package capability_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/internal/logtest"
)

// withLimit runs f with a target that takes no "big" event while limited says so.
func withLimit(t *testing.T, suspected bool, f func(w *world, r *target, limited *atomic.Bool, log *logtest.Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Log
		var limited atomic.Bool
		limited.Store(true)
		w := &world{t, capability.NewPubSub(capability.PubSubOptions{
			Brokers: map[string]pubsub.Broker{"p": newMemoryBroker(t)}, Grace: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})}
		f(w, &target{answer: func(_ context.Context, e *capability.Event) (capability.Verdict, error) {
			if string(e.Data) == "big" && limited.Load() {
				return capability.Retry, &capability.TooLargeError{Size: 5, Limit: 4, Suspected: suspected, Err: errors.Join(capability.ErrUnreached, errors.New("refused"))}
			}
			return capability.Success, nil
		}}, &limited, &log)
		w.Stop()
	})
}

func count(list []string, what string) (n int) {
	for _, one := range list {
		if one == what {
			n++
		}
	}
	return n
}

// An event that is too large is kept and tried ever more rarely; the others pass it,
// also over streams that come later; it is told once, and arrives when it may.
func TestTooLargeIsKept(t *testing.T) {
	for _, suspected := range []bool{false, true} {
		t.Run(fmt.Sprint("suspected ", suspected), func(t *testing.T) {
			withLimit(t, suspected, func(w *world, r *target, limited *atomic.Bool, log *logtest.Log) {
				s := w.subscribe("t", r, nil)
				w.publish("t", "big", nil)
				for i := range 20 {
					w.publish("t", fmt.Sprint(i), nil)
				}
				synctest.Wait()
				if n := len(r.received()); n != 21 {
					t.Errorf("%d deliveries", n)
				}
				s.End()
				<-s.Done()
				w.publish("t", "after", nil)
				w.subscribe("t", r, nil)
				synctest.Wait()
				if got := r.received(); count(got, "after") != 1 || count(got, "big") != 1 {
					t.Errorf("the next stream got %v", got[20:])
				}
				time.Sleep(time.Hour)
				if n := count(r.received(), "big"); n < 30 || n > 70 {
					t.Errorf("tried %d times in an hour", n)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !log.Contains("topic=t", "id=", "size=5", "limit=4", "deadLetterTopic") {
					t.Errorf("%d errors in the log: %s", n, log)
				}
				limited.Store(false)
				before := count(r.received(), "big")
				time.Sleep(time.Hour)
				if n := count(r.received(), "big") - before; n != 1 {
					t.Errorf("delivered %d times when it may be", n)
				}
			})
		})
	}
}

// It goes to the topic for dead letters, at once when it is sure; with a limit of
// redeliveries alone it is given up.
func TestTooLargeIsBuried(t *testing.T) {
	for _, tt := range []struct {
		suspected bool
		metadata  map[string]string
		tries     int
		letters   int
	}{
		{false, map[string]string{"deadLetterTopic": "dead"}, 1, 1},
		{false, map[string]string{"deadLetterTopic": "dead", "maxRedeliveries": "100"}, 1, 1},
		{true, map[string]string{"deadLetterTopic": "dead"}, 4, 1},
		{true, map[string]string{"deadLetterTopic": "dead", "maxRedeliveries": "0"}, 1, 1},
		{false, map[string]string{"maxRedeliveries": "2"}, 3, 0},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			withLimit(t, tt.suspected, func(w *world, r *target, _ *atomic.Bool, log *logtest.Log) {
				var reason string
				dead := &target{answer: func(_ context.Context, e *capability.Event) (capability.Verdict, error) {
					reason = e.Metadata["deadLetterReason"]
					return capability.Success, nil
				}}
				w.subscribe("dead", dead, nil)
				w.subscribe("t", r, tt.metadata)
				w.publish("t", "big", nil)
				time.Sleep(time.Hour)
				synctest.Wait()
				if n, letters := len(r.received()), len(dead.received()); n != tt.tries || letters != tt.letters {
					t.Errorf("%d tries, %d letters", n, letters)
				}
				if tt.letters > 0 && !strings.Contains(reason, "5 bytes") {
					t.Errorf("the letter says %q", reason)
				}
				if !log.Contains("level=ERROR", "cannot be delivered", "size=5", "dead_letter_topic") {
					t.Errorf("the log: %s", log)
				}
			})
		})
	}
}

// One that the application has dropped is forgotten: the same event later has all its
// tries again.
func TestTooLargeIsForgotten(t *testing.T) {
	withLimit(t, true, func(w *world, r *target, limited *atomic.Bool, _ *logtest.Log) {
		refuse := r.answer
		r.answer = func(ctx context.Context, e *capability.Event) (capability.Verdict, error) {
			if verdict, err := refuse(ctx, e); err != nil {
				return verdict, err
			}
			return capability.Drop, nil
		}
		w.subscribe("t", r, map[string]string{"maxRedeliveries": "1"})
		for turn := range 2 {
			limited.Store(true)
			w.publish("t", "big", map[string]string{"rawPayload": "true"})
			synctest.Wait()
			limited.Store(false)
			time.Sleep(time.Hour)
			if n := len(r.received()); n != 2*(turn+1) {
				t.Errorf("turn %d: %d deliveries in all", turn, n)
			}
		}
	})
}
