package redis

import (
	"context"
	"strings"
	"testing"
	"time"

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
		Address: "redisHost",
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "lock", Type)
	server := testserver.Redis(t)
	locktest.Run(t, locktest.Options{New: backend().Maker(server.Addr, nil)})
}

// Pauses of the server and breaks of the network leave calls without an outcome,
// and never two owners.
func TestHistoryWithFaults(t *testing.T) {
	server := testserver.Redis(t)
	link := testserver.NewLink(t, server.Addr)
	lockers := []lock.Locker{backend().Open(t, server.Addr, nil), backend().Open(t, link.Addr, nil), backend().Open(t, link.Addr, nil)}
	calls, failed := locktest.History(t, lockers, locktest.HistoryOptions{
		Calls: 80, Timeout: 150 * time.Millisecond,
		Faults: func(done <-chan struct{}) {
			testserver.Rounds(done, 60*time.Millisecond, server.Pause, server.Resume, link.Cut, link.Mend, link.Hold, link.Mend)
		},
	})
	if failed == 0 || failed > calls/2 {
		t.Logf("%d of %d calls failed: the faults were too few or too many to say much", failed, calls)
	}
}

// Locks are where Layotto has them, and respected if they are its.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	l := backend().Open(t, server.Addr, nil)
	if _, err := l.TryLock(t.Context(), "lock|||app||K", "me", time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := server.Command("EVAL", "return redis.call('GET', KEYS[1]) == 'me' and redis.call('TTL', KEYS[1])", "1", "lock|||app||K"); got > ":3600" || got < ":3000" || len(got) != 5 { // some time has passed
		t.Errorf("the lock is %s", got)
	}
	server.Command("SET", "lock|||app||L", "layotto", "EX", "3600", "NX")
	if g, err := l.TryLock(t.Context(), "lock|||app||L", "me", time.Second); err != nil || g != nil {
		t.Errorf("a lock of Layotto's was taken: %v, %v", g, err)
	}
	if status, err := l.Unlock(t.Context(), "lock|||app||L", "layotto"); err != nil || status != lock.Done {
		t.Errorf("Unlock of it: %v, %v", status, err)
	}
	server.Command("RPUSH", "lock|||app||list", "x")
	if _, err := l.Unlock(t.Context(), "lock|||app||list", "me"); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("Unlock of what is no lock: %v", err)
	}
	if g, err := l.TryLock(t.Context(), "lock|||app||list", "me", time.Second); err != nil || g != nil {
		t.Errorf("TryLock of what is no lock: %v, %v", g, err)
	}
}

// Tokens grow although the server forgets everything.
func TestTokensAfterLoss(t *testing.T) {
	server := testserver.Redis(t)
	l := backend().Open(t, server.Addr, nil)
	first, err := l.TryLock(t.Context(), "r", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Start()
	second, err := l.TryLock(t.Context(), "r", "b", time.Minute)
	if err != nil || second == nil || second.Token <= first.Token {
		t.Errorf("%+v after %+v, %v", second, first, err)
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisPassword("sesame"))
	if _, err := backend().Try(t.Context(), server.Addr, map[string]any{"redisPassword": "wrong-one"}); err == nil ||
		!strings.Contains(err.Error(), "WRONGPASS") || !strings.Contains(err.Error(), server.Addr) || strings.Contains(err.Error(), "wrong-one") {
		t.Errorf("a wrong password: %v", err)
	}
	settings := map[string]any{"redisPassword": "sesame", "readTimeout": "2000"}
	locktest.Outages(t, backend().Open(t, server.Addr, settings), locktest.Outage{
		Hang: server.Pause, Resume: server.Resume, Stop: server.Stop, Start: server.Start,
		Addr: server.Addr, Silent: []string{"in time"}, Secret: "sesame", AtOnce: true,
		New: func(ctx context.Context) (lock.Locker, error) { return backend().Try(ctx, server.Addr, settings) },
	})
}

func TestFull(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisArgs("--maxmemory", "1", "--maxmemory-policy", "noeviction"))
	l := backend().Open(t, server.Addr, nil)
	if _, err := l.TryLock(t.Context(), "r", "a", time.Second); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("full: %v", err)
	}
	if status, err := l.Unlock(t.Context(), "r", "a"); err != nil || status != lock.NotLocked {
		t.Errorf("Unlock when it is full: %v, %v", status, err)
	}
}

func TestTLSAndSentinel(t *testing.T) {
	secure := testserver.Redis(t, testserver.RedisTLS())
	l := backend().Open(t, secure.Addr, map[string]any{"enableTLS": "true", "caCert": secure.CA})
	if g, err := l.TryLock(t.Context(), "r", "a", time.Second); err != nil || g == nil {
		t.Errorf("over TLS: %v, %v", g, err)
	}
	if _, err := backend().Try(t.Context(), secure.Addr, map[string]any{"enableTLS": "true"}); err == nil || !strings.Contains(err.Error(), "caCert") {
		t.Errorf("an unknown authority: %v", err)
	}
	master := testserver.Redis(t)
	sentinel := testserver.RedisSentinel(t, master, "mine")
	l = backend().Open(t, sentinel.Addr, map[string]any{"failover": true, "sentinelMasterName": "mine"})
	if g, err := l.TryLock(t.Context(), "r", "a", time.Minute); err != nil || g == nil || master.Command("EXISTS", "r") != ":1" {
		t.Errorf("behind a sentinel: %v, %v", g, err)
	}
}

func TestMetadata(t *testing.T) {
	for text, metadata := range map[string]map[string]any{
		"lock.test.metadata.redisHost":          {"redisHost": ""},
		`"a:b:c" is not host:port`:              {"redisHost": "a:b:c"},
		"2 addresses for one server":            {"redisHost": "a,b"},
		"do not work on a Redis cluster":        {"redisType": "cluster"},
		"sentinelMasterName":                    {"failover": "true"},
		"is false, but there are settings":      {"caCert": "x"},
		"no certificate in PEM":                 {"caCert": "x", "enableTLS": true},
		"lock.test.metadata.maxRetries":         {"maxRetries": "often"},
		"lock.test.metadata.enableTLS: clientC": {"enableTLS": true, "clientCert": "x"},
	} {
		if _, err := backend().Try(t.Context(), "127.0.0.1:1", metadata); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", metadata, err, text)
		}
	}
}
