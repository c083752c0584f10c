package mongo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, host string, more map[string]any) (*Locker, error) {
	metadata := map[string]any{"mongoHost": host, "operationTimeout": "1"}
	for k, v := range more {
		metadata[k] = v
	}
	l, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "lock.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return l.(*Locker), nil
}

func newLocker(t *testing.T, host string) *Locker {
	t.Helper()
	l, err := tryNew(t.Context(), host, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := testserver.Mongo(t)
	locktest.Run(t, locktest.Options{
		TextOnly: true, Late: 400 * time.Millisecond,
		New: func(t *testing.T) lock.Locker {
			l, err := tryNew(t.Context(), server.Addr, map[string]any{"operationTimeout": "10"})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
	})
}

func TestHistoryWithFaults(t *testing.T) {
	server := testserver.Mongo(t)
	link := testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{newLocker(t, server.Addr), newLocker(t, link.Addr)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 200 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			for {
				for _, step := range []func(){server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend} {
					step()
					select {
					case <-done:
						server.Resume()
						return
					case <-time.After(80 * time.Millisecond):
					}
				}
			}
		},
	})
}

// Layotto's documents are respected as long as they say.
func TestLayotto(t *testing.T) {
	server := testserver.Mongo(t)
	l := newLocker(t, server.Addr)
	for resource, expire := range map[string]time.Time{"held": time.Now().Add(time.Minute), "over": time.Now().Add(-time.Second)} {
		if _, err := l.client.InsertOne(t.Context(), bson.D{{Key: "_id", Value: resource}, {Key: "LockOwner", Value: "layotto"}, {Key: "Expire", Value: expire}}); err != nil {
			t.Fatal(err)
		}
		if g, err := l.TryLock(t.Context(), resource, "me", time.Minute); err != nil || (g == nil) != (resource == "held") {
			t.Errorf("%s: %v, %v", resource, g, err)
		}
	}
	for _, want := range []lock.Status{lock.Done, lock.NotLocked} {
		if status, err := l.Unlock(t.Context(), "held", "layotto"); err != nil || status != want {
			t.Errorf("%v, %v, want %v", status, err, want)
		}
	}
	if g, err := l.TryLock(t.Context(), "held", "me", time.Minute); err != nil || g == nil {
		t.Errorf("%v, %v", g, err)
	}
}

// The names of Layotto's sample, odd as they are, say where the locks are.
func TestSampleNames(t *testing.T) {
	server := testserver.Mongo(t)
	l, err := tryNew(t.Context(), server.Addr, map[string]any{"databaseName ": "db", "collecttionName": "locks", "mongoPassword": "", "username": "", "params": ""})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if l.client.Database().Name() != "db" || l.client.Name() != "locks" {
		t.Errorf("%s.%s", l.client.Database().Name(), l.client.Name())
	}
	if d := newLocker(t, server.Addr); d.client.Database().Name() != "layottoStore" || d.client.Name() != "layottoCollection" {
		t.Errorf("%s.%s", d.client.Database().Name(), d.client.Name())
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Mongo(t)
	l := newLocker(t, server.Addr)
	try := func() error {
		_, err := l.TryLock(t.Context(), "r", "a", time.Second)
		return err
	}
	if err := errors.Join(try(), l.Check(t.Context())); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Renew(ctx, "r", "a", time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging, with a deadline: %v", err)
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), "operationTimeout") {
		t.Errorf("hanging: %v", err)
	}
	server.Resume()
	eventually(t, try)
	server.Stop()
	if err := try(); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := l.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := tryNew(t.Context(), server.Addr, map[string]any{"operationTimeout": "300ms", "username": "me", "mongoPassword": "sesame"}); err == nil ||
		!strings.Contains(err.Error(), "cannot connect") || !strings.Contains(err.Error(), server.Addr) || strings.Contains(err.Error(), "sesame") {
		t.Errorf("down at the start: %v", err)
	}
	server.Start()
	eventually(t, func() error { return errors.Join(try(), l.Check(t.Context())) })
}

func TestMetadata(t *testing.T) {
	for text, m := range map[string]map[string]any{
		"lock.test.metadata.mongoHost":    {"mongoHost": ""},
		"lock.test.metadata.server":       {"server": "x"},
		"lock.test.metadata.params":       {"params": "?%zz"},
		"lock.test.metadata.writeConcern": {"writeConcern": "0"},
		"lock.test.metadata.readConcern":  {"readConcern": "any"},
		"check mongoHost":                 {"params": "?tls=perhaps"},
	} {
		if _, err := tryNew(t.Context(), "127.0.0.1:1", m); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", m, err, text)
		}
	}
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
