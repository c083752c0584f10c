package statetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// Options say what to test.
type Options struct {
	// New makes a store. It is called once per test; stores may share their
	// data (one server), since every test uses keys of its own. The suite
	// closes the store.
	New func(t *testing.T) state.Store
	// FakeTime runs the tests of TTL in a testing/synctest bubble: exact and
	// instant. New is called inside the bubble then, so it is only for stores
	// whose goroutines and clock live in this process. Otherwise these tests
	// use short TTLs in real time.
	FakeTime bool
	// MaxValue is the size in bytes of the big value that is stored; 0 is 1 MiB.
	MaxValue int
	// ForeignETag is an etag in the store's form that no item of these tests has;
	// "" is a big number.
	ForeignETag string
	// TTLUnit is what the store rounds times to live to; 0: it keeps them to the
	// millisecond. An item may end that much too early or too late.
	TTLUnit time.Duration
	// NoExpiry: the store cannot tell when an item ends.
	NoExpiry bool
	// Keys tells which keys the store takes; nil: all. Others it must refuse with
	// ErrInvalid.
	Keys func(key string) bool
	// Values tells which values the server of this test keeps; nil: all.
	Values func(value []byte) bool
	// Lacks names tests of this suite that the backend cannot pass, with the
	// reason, which is what the test is skipped with. A test that is named and
	// would pass is not noticed: look at the list now and then.
	Lacks map[string]string
}

// Run tests the store that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.MaxValue == 0 {
		o.MaxValue = 1 << 20
	}
	if o.ForeignETag == "" {
		o.ForeignETag = "999999999999"
	}
	has := o.abilities(t)
	tests := []struct {
		name  string
		needs ability
		fn    func(*suite)
	}{
		{"SetGetDelete", 0, testSetGetDelete},
		{"Values", 0, testValues},
		{"Keys", 0, testKeys},
		{"LongKeys", 0, testLongKeys},
		{"InvalidRequests", 0, testInvalidRequests},
		{"SlicesAreCopied", 0, testSlicesAreCopied},
		{"CancelledContext", 0, testCancelledContext},
		{"Closed", 0, testClosed},
		{"NotSupported", 0, testNotSupported},
		{"History", 0, testHistory},
		{"ETag", etags, testETag},
		{"ETagNeverRepeats", etags, testETagChanges},
		{"FirstWrite", etags, testFirstWrite},
		{"LastWrite", etags, testLastWrite},
		{"OneWinnerPerRound", etags, testOneWinner},
		{"FirstWriteOneCreator", etags, testOneCreator},
		{"Increments", etags, testIncrements},
		{"TransactMixed", transactions, testTransactMixed},
		{"TransactSameKey", transactions, testTransactSameKey},
		{"TransactInvalid", transactions, testTransactInvalid},
		{"TransactAtomic", transactions | etags, testTransactAtomic},
		{"TransactTransfers", transactions | etags, testTransactTransfers},
		{"BulkGet", bulkGet, testBulkGet},
		{"BulkWrite", bulkWrite, testBulkWrite},
		{"BulkMany", bulkGet | bulkWrite, testBulkMany},
	}
	for _, tt := range tests {
		if tt.needs&^has != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			o.skip(t, tt.name)
			tt.fn(newSuite(t, o))
		})
	}
	ttlTests := []struct {
		name  string
		needs ability
		fn    func(*suite)
	}{
		{"TTL", ttl, testTTL},
		{"TTLCleared", ttl, testTTLCleared},
		{"TTLReplaced", ttl, testTTLReplaced},
		{"TTLRecreate", ttl | etags, testTTLRecreate},
		{"TTLTransactAndBulk", ttl, testTTLTransactAndBulk},
		{"TTLMany", ttl, testTTLMany},
	}
	for _, tt := range ttlTests {
		if tt.needs&^has != 0 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			o.skip(t, tt.name)
			if !o.FakeTime {
				t.Parallel() // they mostly wait
				tt.fn(newSuite(t, o))
				return
			}
			synctest.Test(t, func(t *testing.T) { tt.fn(newSuite(t, o)) })
		})
	}
}

// ability is what a test needs of a store, beyond reading and writing. What a store
// does not say it can is not tested, except that it refuses it.
type ability uint8

const (
	etags ability = 1 << iota
	ttl
	transactions
	bulkGet
	bulkWrite
)

// abilities asks a store what it can.
func (o Options) abilities(t *testing.T) ability {
	t.Helper()
	s := o.New(t)
	var has ability
	add := func(can bool, a ability) {
		if can {
			has |= a
		}
	}
	_, tx := s.(state.Transactor)
	_, bg := s.(state.BulkGetter)
	_, bw := s.(state.BulkWriter)
	add(s.Features().ETag, etags)
	add(s.Features().TTL, ttl)
	add(tx, transactions)
	add(bg, bulkGet)
	add(bw, bulkWrite)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return has
}

// skip skips a test that the backend is known not to pass.
func (o Options) skip(t *testing.T, name string) {
	t.Helper()
	if why, ok := o.Lacks[name]; ok {
		t.Skipf("SKIP: known limit of the backend: %s", why)
	}
}

// suite is one test's surroundings. Its helpers end the test when something
// goes wrong that must not.
type suite struct {
	*testing.T
	ctx    context.Context
	store  state.Store
	opts   Options
	prefix string
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	s := &suite{T: t, ctx: t.Context(), store: o.New(t), opts: o, prefix: rand.Text() + "/"}
	if o.Keys != nil && !o.Keys(s.prefix) {
		s.prefix = rand.Text() + "-"
	}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// key returns a key that only this test uses.
func (s *suite) key(name string) string { return s.prefix + name }

// ttl is d, or as much more as the store rounds it up to.
func (s *suite) ttl(d time.Duration) time.Duration {
	if unit := s.opts.TTLUnit; unit > 0 {
		return (d + unit - 1) / unit * unit
	}
	return d
}

func (s *suite) get(key string) *state.Item {
	s.Helper()
	item, err := s.store.Get(s.ctx, state.Get{Key: key})
	if err != nil {
		s.Fatalf("Get(%q): %v", key, err)
	}
	if item != nil {
		if item.Key != key {
			s.Fatalf("Get(%q) returned the key %q", key, item.Key)
		}
		if s.store.Features().ETag && item.ETag == "" {
			s.Fatalf("Get(%q) returned an empty etag", key)
		}
	}
	return item
}

// want asserts the value under key and returns its item.
func (s *suite) want(key, value string) *state.Item {
	s.Helper()
	item := s.get(key)
	if item == nil {
		s.Fatalf("key %q does not exist, want value %s", key, short(value))
	}
	if string(item.Value) != value {
		s.Fatalf("key %q has value %s, want %s", key, short(string(item.Value)), short(value))
	}
	return item
}

func (s *suite) wantMissing(key string) {
	s.Helper()
	if item := s.get(key); item != nil {
		s.Fatalf("key %q has value %s, want it not to exist", key, short(string(item.Value)))
	}
}

func (s *suite) write(op state.Op) {
	s.Helper()
	if err := s.store.Write(s.ctx, op); err != nil {
		s.Fatalf("Write(%s): %v", describe(op), err)
	}
}

func (s *suite) set(key, value string) { s.Helper(); s.write(state.Op{Key: key, Value: []byte(value)}) }

func (s *suite) wantErr(op state.Op, want error) {
	s.Helper()
	if err := s.store.Write(s.ctx, op); !errors.Is(err, want) {
		s.Fatalf("Write(%s): error %v, want %v", describe(op), err, want)
	}
}

func describe(op state.Op) string {
	kind := "set"
	if op.Delete {
		kind = "delete"
	}
	etag := ""
	if op.HasETag {
		etag = fmt.Sprintf(" if etag is %q", op.ETag)
	}
	return fmt.Sprintf("%s %q%s, concurrency %d, ttl %s", kind, op.Key, etag, op.Options.Concurrency, op.TTL)
}

func short(v string) string {
	if len(v) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", v[:40], len(v))
	}
	return fmt.Sprintf("%q", v)
}

// eventually polls cond until it is true; in real time at most limit.
func (s *suite) eventually(limit time.Duration, what string, cond func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		over := ctx.Err() != nil // then this is the last look
		if cond() {
			return
		}
		if over {
			s.Fatalf("%s: not after %s", what, limit)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
