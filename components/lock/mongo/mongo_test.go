package mongo

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[lock.Locker, *Locker] {
	return backendtest.Backend[lock.Locker, *Locker]{
		Path: "lock.test", Type: Type, New: New,
		Address: "mongoHost", Metadata: map[string]any{"operationTimeout": "30"},
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := testserver.Mongo(t)
	locktest.Run(t, locktest.Options{
		TextOnly: true, Late: 400 * time.Millisecond,
		New: backend().Maker(server.Addr, nil),
	})
}

func TestHistoryWithFaults(t *testing.T) {
	server := testserver.Mongo(t)
	link := testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{backend().Open(t, server.Addr, nil), backend().Open(t, link.Addr, nil)}
	_, _ = locktest.History(t, lockers, locktest.HistoryOptions{
		Expire: 200 * time.Millisecond, Timeout: 300 * time.Millisecond, Calls: 40,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 80*time.Millisecond, server.Pause, server.Resume, link.Hold, link.Mend, link.Cut, link.Mend)
		},
	})
}

// Layotto's documents are respected as long as they say.
func TestLayotto(t *testing.T) {
	server := testserver.Mongo(t)
	l := backend().Open(t, server.Addr, nil)
	for resource, expire := range map[string]time.Time{"held": time.Now().Add(time.Hour), "over": time.Now().Add(-time.Second)} {
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
	l := backend().Open(t, server.Addr, map[string]any{"databaseName ": "db", "collecttionName": "locks", "mongoPassword": "", "username": "", "params": ""})
	if l.client.Database().Name() != "db" || l.client.Name() != "locks" {
		t.Errorf("%s.%s", l.client.Database().Name(), l.client.Name())
	}
	if d := backend().Open(t, server.Addr, nil); d.client.Database().Name() != "layottoStore" || d.client.Name() != "layottoCollection" {
		t.Errorf("%s.%s", d.client.Database().Name(), d.client.Name())
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Mongo(t)
	locktest.Outages(t, backend().Open(t, server.Addr, map[string]any{"operationTimeout": "3"}), locktest.Outage{
		Hang: server.Pause, Resume: server.Resume, Stop: server.Stop, Start: server.Start,
		Addr: server.Addr, Silent: []string{"operationTimeout"}, Secret: "sesame",
		New: func(ctx context.Context) (lock.Locker, error) {
			return backend().Try(ctx, server.Addr, map[string]any{"operationTimeout": "300ms", "username": "me", "mongoPassword": "sesame"})
		},
	})
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
		if _, err := backend().Try(t.Context(), "127.0.0.1:1", m); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", m, err, text)
		}
	}
}
