package contrib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	contribstate "github.com/dapr/components-contrib/state"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
)

// fake is one of contrib's stores in memory, as a simple one is written: etags are
// numbers, times to live are kept, bulk operations are contrib's own.
type fake struct {
	contribstate.BulkStore
	features []contribstate.Feature

	// What goes wrong; set before the store is used.
	initErr error
	stuck   chan struct{}                        // calls wait for it, whatever their context says
	fail    func(operation, key string) error    // before an operation
	drop    func(answer string, key string) bool // an answer to a BulkGet that gets lost

	mu     sync.Mutex
	count  int
	items  map[string]stored
	calls  []string
	closed int
	seen   map[string]string // metadata of the last set
	inits  map[string]string
}

type stored struct {
	value []byte
	etag  string
	end   time.Time
}

func newFake(features ...contribstate.Feature) *fake {
	f := &fake{features: features, items: map[string]stored{}}
	f.BulkStore = contribstate.NewDefaultBulkStore(f)
	return f
}

var everything = []contribstate.Feature{contribstate.FeatureETag, contribstate.FeatureTTL}

func (f *fake) Init(_ context.Context, m contribstate.Metadata) error {
	if f.stuck != nil {
		<-f.stuck
	}
	f.inits = m.Properties
	return f.initErr
}

func (f *fake) Features() []contribstate.Feature { return f.features }

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// begin is the beginning of every operation; the caller unlocks.
func (f *fake) begin(operation, key string) error {
	if f.stuck != nil {
		<-f.stuck
	}
	var err error
	if f.fail != nil {
		err = f.fail(operation, key) // may panic
	}
	f.mu.Lock()
	f.calls = append(f.calls, operation+" "+key)
	return err
}

func (f *fake) live(key string) (stored, bool) {
	item, ok := f.items[key]
	return item, ok && (item.end.IsZero() || time.Now().Before(item.end))
}

func (f *fake) Get(_ context.Context, req *contribstate.GetRequest) (*contribstate.GetResponse, error) {
	err := f.begin("get", req.Key)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	item, ok := f.live(req.Key)
	if !ok {
		return &contribstate.GetResponse{}, nil
	}
	resp := &contribstate.GetResponse{Data: append([]byte{}, item.value...), ETag: &item.etag}
	if !item.end.IsZero() {
		resp.Metadata = map[string]string{contribstate.GetRespMetaKeyTTLExpireTime: item.end.UTC().Format(time.RFC3339Nano)}
	}
	return resp, nil
}

func (f *fake) check(key string, etag *string, create bool) error {
	item, ok := f.live(key)
	switch {
	case etag != nil && (!ok || item.etag != *etag):
		return contribstate.NewETagError(contribstate.ETagMismatch, nil)
	case create && ok:
		return errors.New("no item was updated") // as some say it
	}
	return nil
}

func (f *fake) Set(_ context.Context, req *contribstate.SetRequest) error {
	err := f.begin("set", req.Key)
	defer f.mu.Unlock()
	if err == nil {
		err = f.check(req.Key, req.ETag, req.Options.Concurrency == contribstate.FirstWrite && req.ETag == nil)
	}
	if err != nil {
		return err
	}
	f.count++
	f.seen = req.Metadata
	item := stored{value: slices.Clone(req.Value.([]byte)), etag: strconv.Itoa(f.count)}
	if seconds, err := strconv.Atoi(req.Metadata["ttlInSeconds"]); err == nil {
		item.end = time.Now().Add(time.Duration(seconds) * time.Second)
	}
	f.items[req.Key] = item
	return nil
}

func (f *fake) Delete(_ context.Context, req *contribstate.DeleteRequest) error {
	err := f.begin("delete", req.Key)
	defer f.mu.Unlock()
	if err == nil {
		err = f.check(req.Key, req.ETag, false)
	}
	if err == nil {
		delete(f.items, req.Key)
	}
	return err
}

func (f *fake) BulkGet(ctx context.Context, req []contribstate.GetRequest, opts contribstate.BulkGetOpts) ([]contribstate.BulkGetResponse, error) {
	answers, err := f.BulkStore.BulkGet(ctx, req, opts)
	for i, a := range answers {
		if f.drop != nil && f.drop("bulk get", a.Key) {
			answers[i] = contribstate.BulkGetResponse{Key: a.Key}
		}
	}
	return answers, err
}

// count returns how many calls of an operation there were.
func (f *fake) countCalls(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if strings.HasPrefix(c, operation+" ") {
			n++
		}
	}
	return n
}

// transacting is a fake with transactions.
type transacting struct{ *fake }

func (f transacting) Multi(ctx context.Context, request *contribstate.TransactionalStateRequest) error {
	before := maps.Clone(f.items)
	for _, op := range request.Operations {
		var err error
		switch req := op.(type) {
		case contribstate.SetRequest:
			err = f.Set(ctx, &req)
		case contribstate.DeleteRequest:
			err = f.Delete(ctx, &req)
		}
		if err != nil {
			f.items = before
			return err
		}
	}
	return nil
}

func number(text string) bool {
	_, err := strconv.ParseUint(text, 10, 63)
	return err == nil
}

func factory(f contribstate.Store, traits contrib.StateTraits) components.Factory[state.Store] {
	return contrib.State(func(logger.Logger) contribstate.Store { return f }, traits)
}

func open(t *testing.T, f contribstate.Store, traits contrib.StateTraits) state.Store {
	t.Helper()
	return statetest.New(factory(f, traits), nil)(t)
}

// TestStateSuite: through the adapter a simple store passes the suite, with and
// without each of its features.
func TestStateSuite(t *testing.T) {
	for name, features := range map[string][]contribstate.Feature{
		"everything": everything, "nothing": nil, "etags": {contribstate.FeatureETag}, "ttl": {contribstate.FeatureTTL},
	} {
		for _, bulk := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, bulk %t", name, bulk), func(t *testing.T) {
				statetest.Run(t, statetest.Options{
					FakeTime: true, TTLUnit: time.Second, NoExpiry: true,
					New: func(t *testing.T) state.Store {
						return open(t, newFake(features...), contrib.StateTraits{ETag: number, BulkGet: bulk})
					},
				})
			})
		}
	}
}

// TestStateFeatures: what a store does not declare is not there, and what it declares
// without keeping it can be taken away.
func TestStateFeatures(t *testing.T) {
	transactional := append([]contribstate.Feature{contribstate.FeatureTransactional}, everything...)
	for name, tt := range map[string]struct {
		store  contribstate.Store
		traits contrib.StateTraits
		want   state.Features
		tx     bool
	}{
		"all":                {transacting{newFake(transactional...)}, contrib.StateTraits{}, state.Features{ETag: true, TTL: true, Durable: true}, true},
		"not declared":       {transacting{newFake(everything...)}, contrib.StateTraits{}, state.Features{ETag: true, TTL: true, Durable: true}, false},
		"not there":          {newFake(transactional...), contrib.StateTraits{}, state.Features{ETag: true, TTL: true, Durable: true}, false},
		"not by settings":    {transacting{newFake(transactional...)}, contrib.StateTraits{Transactions: func(map[string]string) bool { return false }}, state.Features{ETag: true, TTL: true, Durable: true}, false},
		"promises not kept":  {newFake(everything...), contrib.StateTraits{NoETag: true, NoTTL: true, Volatile: true}, state.Features{}, false},
		"nothing but values": {newFake(), contrib.StateTraits{}, state.Features{Durable: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, tt.store, tt.traits)
			defer s.Close() //nolint:errcheck // the fake does not fail
			_, tx := s.(state.Transactor)
			if got := s.Features(); got != tt.want || tx != tt.tx {
				t.Errorf("%+v, transactions %t", got, tx)
			}
		})
	}
}

// TestStateTransaction: what fails in a transaction is told as what it is.
func TestStateTransaction(t *testing.T) {
	f := newFake(append([]contribstate.Feature{contribstate.FeatureTransactional}, everything...)...)
	s := open(t, transacting{f}, contrib.StateTraits{ETag: number})
	tx := s.(state.Transactor)
	create := state.Options{Concurrency: state.FirstWrite}
	if err := tx.Transact(t.Context(), []state.Op{{Key: "a", Value: []byte("1"), Options: create}, {Key: "b", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	for name, ops := range map[string][]state.Op{
		"exists":       {{Key: "c", Value: []byte("1")}, {Key: "a", Value: []byte("2"), Options: create}},
		"created here": {{Key: "c", Value: []byte("1"), Options: create}, {Key: "c", Value: []byte("2"), Options: create}},
		"etag":         {{Key: "c", Value: []byte("1")}, {Key: "a", Delete: true, ETag: "77", HasETag: true}},
	} {
		if err := tx.Transact(t.Context(), ops); !errors.Is(err, state.ErrETagMismatch) {
			t.Errorf("%s: %v, want ErrETagMismatch", name, err)
		}
	}
	if err := tx.Transact(t.Context(), nil); err != nil {
		t.Error(err)
	}
	f.fail = func(operation, _ string) error {
		if operation == "set" {
			return errors.New("disk full")
		}
		return nil
	}
	// The conditions hold, so it is not they that failed.
	err := tx.Transact(t.Context(), []state.Op{{Key: "new", Value: []byte("1"), Options: create}})
	if err == nil || errors.Is(err, state.ErrETagMismatch) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("another failure: %v", err)
	}
}

// TestStateLooksFirst: a store that would make an item although there is none, or
// delete one that has expired, is not asked to.
func TestStateLooksFirst(t *testing.T) {
	f := newFake(everything...)
	s := open(t, f, contrib.StateTraits{ETag: number, CreatesWithETag: true, DeletesExpired: true})
	for _, op := range []state.Op{{Key: "k", Value: []byte("v"), ETag: "1", HasETag: true}, {Key: "k", Delete: true, ETag: "1", HasETag: true}} {
		if err := s.Write(t.Context(), op); !errors.Is(err, state.ErrETagMismatch) {
			t.Errorf("%+v: %v", op, err)
		}
	}
	if f.countCalls("set")+f.countCalls("delete") > 0 {
		t.Errorf("the store was asked: %q", f.calls)
	}
}

// TestStateMetadata: the caller's metadata reaches the store, except a time to live
// of his own; ours is in whole seconds.
func TestStateMetadata(t *testing.T) {
	f := newFake(everything...)
	s := open(t, f, contrib.StateTraits{})
	meta := map[string]string{"partitionKey": "p", "ttlInSeconds": "99"}
	for ttl, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2"} {
		if err := s.Write(t.Context(), state.Op{Key: "k", TTL: ttl, Metadata: meta}); err != nil {
			t.Fatal(err)
		}
		if got := f.seen["ttlInSeconds"]; got != want || f.seen["partitionKey"] != "p" {
			t.Errorf("TTL %s: metadata %v, want %q seconds", ttl, f.seen, want)
		}
	}
	if meta["ttlInSeconds"] != "99" || len(meta) != 2 {
		t.Errorf("the caller's metadata became %v", meta)
	}
	if err := s.Write(t.Context(), state.Op{Key: "k", TTL: 70 * 365 * 24 * time.Hour}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("a TTL that does not fit: %v", err)
	}
}

// TestStateBulkGetLoses: a key that is missing in the answer for many is asked for
// itself; only then it is not there.
func TestStateBulkGetLoses(t *testing.T) {
	f := newFake(everything...)
	s := open(t, f, contrib.StateTraits{BulkGet: true})
	for _, key := range []string{"a", "b"} {
		if err := s.Write(t.Context(), state.Op{Key: key, Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	f.drop = func(_, key string) bool { return key == "b" }
	got, err := s.(state.BulkGetter).BulkGet(t.Context(), []state.Get{{Key: "b"}, {Key: "a"}, {Key: "none"}, {Key: "b"}})
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	for i, want := range []string{"b", "a", "", "b"} {
		if got[i].Err != nil || (got[i].Item == nil) != (want == "") || got[i].Item != nil && string(got[i].Item.Value) != want {
			t.Errorf("result %d: %+v, want %q", i, got[i], want)
		}
	}
	f.fail = func(operation, key string) error {
		if key == "b" {
			return errors.New("connection lost")
		}
		return nil
	}
	got, err = s.(state.BulkGetter).BulkGet(t.Context(), []state.Get{{Key: "b"}, {Key: "a"}, {Key: "b"}})
	if err != nil || got[0].Err == nil || got[2].Err == nil || got[1].Item == nil {
		t.Errorf("one key fails: %+v, %v", got, err)
	}
}

// TestStateAgain: an operation that the server ended is sent again, for a while.
func TestStateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadlock := errors.New("deadlock")
		f := newFake(everything...)
		s := open(t, f, contrib.StateTraits{Again: func(err error) bool { return errors.Is(err, deadlock) }})
		left := 3
		f.fail = func(string, string) error {
			if left--; left >= 0 {
				return deadlock
			}
			return nil
		}
		if err := s.Write(t.Context(), state.Op{Key: "k"}); err != nil || f.countCalls("set") != 4 {
			t.Errorf("%v after %d calls", err, f.countCalls("set"))
		}
		f.fail = func(string, string) error { return deadlock }
		if err := s.Write(t.Context(), state.Op{Key: "k"}); !errors.Is(err, deadlock) {
			t.Errorf("for ever: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if err := s.Write(ctx, state.Op{Key: "k"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("until the context's end: %v", err)
		}
		synctest.Wait()
	})
}

// TestStateStuck: a store that heeds no context holds nobody up, neither in calls nor
// when it is made or closed.
func TestStateStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(everything...)
		s := open(t, f, contrib.StateTraits{})
		f.stuck = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		value := []byte("value")
		if err := s.Write(ctx, state.Op{Key: "k", Value: value}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write: %v", err)
		}
		copy(value, "XXXXX") // the caller's again, though the store still works on it
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took < time.Second || took > 10*time.Second {
			t.Errorf("Close waited %s for a call that hangs", took)
		}
		if _, err := s.Get(t.Context(), state.Get{Key: "k"}); !errors.Is(err, state.ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
		close(f.stuck)
		synctest.Wait()

		late := newFake()
		late.stuck = make(chan struct{})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := statetest.Open(short, factory(late, contrib.StateTraits{}), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("making it: %v", err)
		}
		close(late.stuck)
		synctest.Wait()
		if late.closed != 1 {
			t.Errorf("a store that came too late was closed %d times", late.closed)
		}
	})
}

// TestStatePanics: a panic of the store is an error of the call.
func TestStatePanics(t *testing.T) {
	f := newFake(everything...)
	s := open(t, f, contrib.StateTraits{})
	f.fail = func(string, string) error { panic("nil map") }
	if _, err := s.Get(t.Context(), state.Get{Key: "k"}); err == nil || !strings.Contains(err.Error(), "nil map") {
		t.Errorf("Get: %v", err)
	}
	if err := s.(components.Checker).Check(t.Context()); err == nil {
		t.Error("it feels well")
	}
}

// TestStateInit: what is wrong at the start is said with the place and without
// secrets, and the store is closed.
func TestStateInit(t *testing.T) {
	f := newFake()
	f.initErr = errors.New("cannot log in as u with hunter22 at postgres://u:hunter22@db/")
	_, err := statetest.Open(t.Context(), factory(f, contrib.StateTraits{}), map[string]any{"host": "db:5432", "password": "hunter22"})
	if err == nil || strings.Contains(err.Error(), "hunter22") || !strings.Contains(err.Error(), "db:5432") || f.closed != 1 {
		t.Errorf("%v; closed %d times", err, f.closed)
	}
	f = newFake()
	prepared := func(_ context.Context, p map[string]string) (map[string]string, error) {
		return map[string]string{"a": p["a"] + "!"}, nil
	}
	s, err := statetest.Open(t.Context(), factory(f, contrib.StateTraits{Prepare: prepared}), map[string]any{"a": 1})
	if err != nil || f.inits["a"] != "1!" {
		t.Fatalf("settings %v, %v", f.inits, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	broken := func(context.Context, map[string]string) (map[string]string, error) { return nil, errors.New("no") }
	if _, err := statetest.Open(t.Context(), factory(newFake(), contrib.StateTraits{Prepare: broken}), nil); err == nil {
		t.Error("what fails before the start fails nothing")
	}
}
