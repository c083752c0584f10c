package snowflake

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mysqlnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tryNew(ctx context.Context, addr string, more map[string]any) (*Sequencer, error) {
	metadata := map[string]any{"mysqlHost": addr, "userName": "ottavo", "password": testserver.SQLPassword, "databaseName": "ids"}
	for k, v := range more {
		metadata[k] = v
	}
	s, err := New(ctx, components.Env{}, components.Config{Name: "test", Type: Type, Path: "sequencer.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return s.(*Sequencer), nil
}

func newSequencer(t *testing.T, addr string, more map[string]any) *Sequencer {
	t.Helper()
	s, err := tryNew(t.Context(), addr, more)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mariaDB(t *testing.T) *testserver.Process {
	t.Helper()
	server := testserver.MariaDB(t)
	db, err := mysqlnode.Open(t.Context(), mysqlnode.Settings{Address: server.Addr, User: "ottavo", Password: testserver.SQLPassword, Database: "mysql"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE ids")
	_, err2 := db.ExecContext(t.Context(), "SET GLOBAL innodb_flush_log_at_trx_commit = 1") // as it is by default
	if err := errors.Join(err, err2, db.Close()); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestServer(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := mariaDB(t)
	sequencertest.Run(t, sequencertest.Options{
		Unordered: true, Sparse: true, New: func(t *testing.T) sequencer.Sequencer { return newSequencer(t, server.Addr, nil) },
	})
	t.Run("Workers", func(t *testing.T) { testWorkers(t, server.Addr) })
	t.Run("KeysAreRemembered", func(t *testing.T) { testRemembered(t, server.Addr) })
	t.Run("Faults", func(t *testing.T) { testFaults(t, server) })
}

func closeIt(t *testing.T, s *Sequencer) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Every start has a number of its own, until there are no more.
func testWorkers(t *testing.T, addr string) {
	few := map[string]any{"tableName": "few", "workerBits": "2", "timeBits": "30", "seqBits": "31"}
	for want := range int64(3) {
		s := newSequencer(t, addr, few)
		if s.worker != want+1 {
			t.Errorf("start %d has the number %d", want+1, s.worker)
		}
		id, err := s.Next(t.Context(), "k")
		if err != nil || id>>31&3 != s.worker {
			t.Errorf("id %b, %v", id, err)
		}
		closeIt(t, s)
	}
	if _, err := tryNew(t.Context(), addr, few); err == nil || !strings.Contains(err.Error(), "workerBits") {
		t.Errorf("one start too many: %v", err)
	}
}

// A process that comes after a clock that was ahead makes no smaller ids.
func testRemembered(t *testing.T, addr string) {
	s := newSequencer(t, addr, nil)
	s.now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := s.Next(t.Context(), "ahead"); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	s = newSequencer(t, addr, nil)
	defer closeIt(t, s)
	if id, err := s.Next(t.Context(), "ahead"); err == nil || !strings.Contains(err.Error(), "the clock went back") {
		t.Errorf("%d, %v", id, err)
	}
	if _, err := s.Next(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	s.forget = 0
	s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	s.write(t.Context(), time.Second)
	s.write(t.Context(), time.Second)
	if len(s.keys) != 0 || len(s.written) != 0 {
		t.Errorf("%d keys are remembered that nobody asks for", len(s.keys))
	}
}

func testFaults(t *testing.T, server *testserver.Process) {
	if _, err := tryNew(t.Context(), server.Addr, map[string]any{"password": "wrong-one"}); err == nil || strings.Contains(err.Error(), "wrong-one") || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := tryNew(t.Context(), server.Addr, map[string]any{"databaseName": "none"}); err == nil || !strings.Contains(err.Error(), "CREATE DATABASE") {
		t.Errorf("a database that is not there: %v", err)
	}
	s := newSequencer(t, server.Addr, nil)
	defer closeIt(t, s)
	if _, err := s.Next(t.Context(), "known"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := s.Next(t.Context(), "known"); err != nil {
		t.Errorf("a key in use needs no database: %v", err)
	}
	if _, err := s.Next(t.Context(), "new"); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("a new key: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := tryNew(t.Context(), server.Addr, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
	server.Start()
	if _, err := s.Next(t.Context(), "new"); err != nil {
		t.Errorf("up again: %v", err)
	}
}

// newGenerator returns one whose clock is the bubble's, plus what shift says.
func newGenerator(shift *time.Duration) *generator {
	return &generator{
		layout: layout{timeBits: 28, workerBits: 22, seqBits: 13, start: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC).Unix()},
		worker: 5, seq: -1, now: func() time.Time { return time.Now().Add(*shift) },
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble begins with 2000-01-01 00:00:00 UTC
		shift := time.Duration(0)
		g := newGenerator(&shift)
		last := int64(0)
		next := func() {
			t.Helper()
			id, err := g.next(t.Context(), 500*time.Millisecond)
			if err != nil || id <= last {
				t.Fatalf("%d, %v, after %d", id, err, last)
			}
			last = id
		}
		next()
		if want := int64(86400)<<35 | 5<<13; last != want {
			t.Errorf("the first id is %d, want %d", last, want)
		}
		next()
		time.Sleep(time.Second)
		next()
		if want := int64(86401)<<35 | 5<<13; last != want {
			t.Errorf("the first id of the next second is %d, want %d", last, want)
		}

		shift = -300 * time.Millisecond // back over the beginning of the second
		began := time.Now()
		next()
		if d := time.Since(began); d != 300*time.Millisecond {
			t.Errorf("it was waited for %s", d)
		}
		shift = -2 * time.Second
		began = time.Now()
		if _, err := g.next(t.Context(), 500*time.Millisecond); err == nil || !strings.Contains(err.Error(), "the clock went back") || time.Since(began) > 500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		shift = 0
		next()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		shift = -time.Second
		if _, err := g.next(ctx, 2*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestSecondIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shift := time.Duration(0)
		g := newGenerator(&shift)
		seen := map[int64]bool{}
		for range 8192 {
			id, err := g.next(t.Context(), 0)
			if err != nil || seen[id] {
				t.Fatal(id, err)
			}
			seen[id] = true
		}
		if _, err := g.next(t.Context(), 500*time.Millisecond); err == nil || !strings.Contains(err.Error(), "used up") {
			t.Errorf("%v", err)
		}
		time.Sleep(600 * time.Millisecond)
		began := time.Now()
		id, err := g.next(t.Context(), 500*time.Millisecond)
		if err != nil || seen[id] || time.Since(began) != 400*time.Millisecond {
			t.Errorf("%d, %v after %s", id, err, time.Since(began))
		}
	})
}

func TestEndOfTime(t *testing.T) {
	shift := 20 * 365 * 24 * time.Hour
	g := newGenerator(&shift)
	if _, err := g.next(t.Context(), time.Second); !errors.Is(err, sequencer.ErrExhausted) {
		t.Errorf("%v", err)
	}
	g = newGenerator(&shift)
	shift = -50 * 365 * 24 * time.Hour
	if _, err := g.next(t.Context(), time.Second); err == nil || !strings.Contains(err.Error(), "startTime") {
		t.Errorf("%v", err)
	}
}

func TestMetadata(t *testing.T) {
	for text, m := range map[string]map[string]any{
		"sequencer.test.metadata.mysqlHost":    {"mysqlHost": ""},
		"sequencer.test.metadata.userName":     {"userName": ""},
		"sequencer.test.metadata.databaseName": {"databaseName": ""},
		"sequencer.test.metadata.tableName":    {"tableName": "a;b"},
		"sequencer.test.metadata.keyTableName": {"keyTableName": ""},
		"sum up to 64":                         {"timeBits": "29"},
		"sequencer.test.metadata.seqBits":      {"seqBits": "0"},
		`"tomorrow" is no day`:                 {"startTime": "tomorrow"},
	} {
		if _, err := tryNew(t.Context(), "127.0.0.1:1", m); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", m, err, text)
		}
	}
}
