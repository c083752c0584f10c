package capability_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// newStore returns the in-memory store, closed at the end of the test.
func newStore(t testing.TB) state.Store {
	t.Helper()
	s, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// single hides every optional ability of a store.
type single struct{ state.Store }

// failing is a store whose operations fail where fail says so.
type failing struct {
	state.Store
	fail func(key string) error
}

func (f failing) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := f.fail(req.Key); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, req)
}

func (f failing) Write(ctx context.Context, op state.Op) error {
	if err := f.fail(op.Key); err != nil {
		return err
	}
	return f.Store.Write(ctx, op)
}

// oneStore returns a State with the store under the name "s", its keys prefixed
// with "p||".
func oneStore(t testing.TB, s state.Store) *capability.State {
	t.Helper()
	prefix, err := capability.ParseKeyPrefix("p", capability.PrefixNone, "", "s")
	if err != nil {
		t.Fatal(err)
	}
	return capability.NewState(map[string]capability.StateStore{"s": {Store: s, Type: "in-memory", Prefix: prefix}})
}

func save(t testing.TB, s *capability.State, keys ...string) {
	t.Helper()
	var ops []state.Op
	for _, k := range keys {
		ops = append(ops, state.Op{Key: k, Value: []byte("value of " + k)})
	}
	if err := s.Save(t.Context(), "s", ops); err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, s *capability.State, key string) string {
	t.Helper()
	item, err := s.Get(t.Context(), "s", state.Get{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if item == nil {
		return "none"
	}
	return string(item.Value)
}

func TestStateRoundTrip(t *testing.T) {
	for name, wrap := range map[string]func(state.Store) state.Store{
		"bulk":   func(s state.Store) state.Store { return s },
		"single": func(s state.Store) state.Store { return single{s} },
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			s := oneStore(t, wrap(store))
			save(t, s, "a", "b", "c")
			if got := value(t, s, "b"); got != "value of b" {
				t.Errorf("b is %q", got)
			}
			if item, err := store.Get(t.Context(), state.Get{Key: "p||b"}); err != nil || item == nil {
				t.Errorf("the key is not stored with its prefix: %v, %v", item, err)
			}
			results, err := s.BulkGet(t.Context(), "s", []state.Get{{Key: "c"}, {Key: "none"}, {Key: "a"}, {Key: "c"}}, 2)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range results {
				text := r.Key + "=none"
				if r.Item != nil {
					text = r.Key + "=" + string(r.Item.Value)
				}
				got = append(got, text)
			}
			if want := []string{"c=value of c", "none=none", "a=value of a", "c=value of c"}; !slices.Equal(got, want) {
				t.Errorf("BulkGet = %q, want %q", got, want)
			}
			if err := s.BulkDelete(t.Context(), "s", []state.Op{{Key: "a"}, {Key: "none"}}); err != nil {
				t.Error(err)
			}
			if err := s.Delete(t.Context(), "s", state.Op{Key: "b"}); err != nil {
				t.Error(err)
			}
			if a, b, c := value(t, s, "a"), value(t, s, "b"), value(t, s, "c"); a != "none" || b != "none" || c != "value of c" {
				t.Errorf("after the deletes: %q, %q, %q", a, b, c)
			}
		})
	}
}

func TestStateNothingToDo(t *testing.T) {
	s := oneStore(t, newStore(t))
	if r, err := s.BulkGet(t.Context(), "s", nil, 0); err != nil || len(r) != 0 {
		t.Errorf("BulkGet = %v, %v", r, err)
	}
	for name, err := range map[string]error{
		"Save":       s.Save(t.Context(), "s", nil),
		"BulkDelete": s.BulkDelete(t.Context(), "s", nil),
		"Transact":   s.Transact(t.Context(), "s", nil, nil),
	} {
		if err != nil {
			t.Errorf("%s = %v", name, err)
		}
	}
}

// each operation, called with one key.
func eachOp(s *capability.State, ctx context.Context, store, key string) map[string]error {
	_, getErr := s.Get(ctx, store, state.Get{Key: key})
	_, bulkErr := s.BulkGet(ctx, store, []state.Get{{Key: key}}, 1)
	return map[string]error{
		"Get":        getErr,
		"BulkGet":    bulkErr,
		"Save":       s.Save(ctx, store, []state.Op{{Key: key}}),
		"Delete":     s.Delete(ctx, store, state.Op{Key: key}),
		"BulkDelete": s.BulkDelete(ctx, store, []state.Op{{Key: key}}),
		"Transact":   s.Transact(ctx, store, []capability.TransactOp{{Type: capability.Upsert, Op: state.Op{Key: key}}}, nil),
	}
}

func TestStateBadRequests(t *testing.T) {
	s := oneStore(t, newStore(t))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, tc := range []struct {
		test       string
		state      *capability.State
		ctx        context.Context
		store, key string
		want       capability.Kind
	}{
		{"nil", nil, t.Context(), "s", "k", capability.NotConfigured},
		{"none configured", capability.NewState(nil), t.Context(), "s", "k", capability.NotConfigured},
		{"unknown store", s, t.Context(), "other", "k", capability.UnknownComponent},
		{"empty key", s, t.Context(), "s", "", capability.InvalidArgument},
		{"separator in key", s, t.Context(), "s", "a||b", capability.IllegalKey},
		{"canceled", s, ended, "s", "k", capability.Canceled},
		{"too late", s, late, "s", "k", capability.Deadline},
	} {
		for op, err := range eachOp(tc.state, tc.ctx, tc.store, tc.key) {
			t.Run(tc.test+"/"+op, func(t *testing.T) { wantError(t, err, tc.want) })
		}
	}
	_, err := s.Get(t.Context(), "other", state.Get{Key: "k"})
	if e := wantError(t, err, capability.UnknownComponent); !slices.Equal(e.Known, []string{"s"}) {
		t.Errorf("known stores %q", e.Known)
	}
}

// A mistake in a later item leaves the earlier ones unwritten.
func TestSaveChecksAllFirst(t *testing.T) {
	s := oneStore(t, single{newStore(t)})
	for _, bad := range []state.Op{
		{Key: ""}, {Key: "x||y"}, {Key: "ttl", Metadata: map[string]string{"ttlInSeconds": "soon"}},
	} {
		if err := s.Save(t.Context(), "s", []state.Op{{Key: "good"}, bad}); err == nil {
			t.Errorf("%+v was saved", bad)
		}
		if got := value(t, s, "good"); got != "none" {
			t.Errorf("with %+v after it, an item was written: %q", bad, got)
		}
	}
}

func TestSaveNamesTheFailedKey(t *testing.T) {
	broken := errors.New("disk on fire")
	inner := newStore(t)
	fail := func(key string) error {
		if key == "p||b" {
			return broken
		}
		return nil
	}
	for name, store := range map[string]state.Store{
		"single": failing{single{inner}, fail},
		"bulk":   bulkFailing{failing{single{inner}, fail}},
	} {
		t.Run(name, func(t *testing.T) {
			s := oneStore(t, store)
			err := s.Save(t.Context(), "s", []state.Op{{Key: "a"}, {Key: "b"}, {Key: "c"}})
			e := wantError(t, err, capability.Internal)
			if e.Key != "b" || !strings.Contains(err.Error(), `key "b"`) || !errors.Is(err, broken) || strings.Contains(err.Error(), "p||") {
				t.Errorf("error %v with key %q", err, e.Key)
			}
		})
	}
}

// bulkFailing is failing with a BulkWrite.
type bulkFailing struct{ failing }

func (b bulkFailing) BulkWrite(ctx context.Context, ops []state.Op) []error {
	errs := make([]error, len(ops))
	for i, op := range ops {
		errs[i] = b.Write(ctx, op)
	}
	return errs
}

func TestStateErrorKinds(t *testing.T) {
	for want, cause := range map[capability.Kind]error{
		capability.ETagMismatch:    fmt.Errorf("wrapped: %w", state.ErrETagMismatch),
		capability.ETagInvalid:     state.ErrETagInvalid,
		capability.NotSupported:    state.ErrNotSupported,
		capability.InvalidArgument: state.ErrInvalid,
		capability.Internal:        errors.New("backend"),
	} {
		s := oneStore(t, failing{newStore(t), func(string) error { return cause }})
		e := wantError(t, s.Delete(t.Context(), "s", state.Op{Key: "k"}), want)
		if !errors.Is(e.Err, cause) || e.Capability != capability.StateName || e.Op != capability.StateDelete || e.Component != "s" || e.Key != "k" {
			t.Errorf("%v: %+v", want, e)
		}
	}
	// A limit of the store's own is told as the caller's is: of two that are about
	// equal nobody knows which passes first.
	s := oneStore(t, failing{newStore(t), func(string) error { return context.DeadlineExceeded }})
	wantError(t, s.Delete(t.Context(), "s", state.Op{Key: "k"}), capability.Deadline)
}

func TestETags(t *testing.T) {
	s := oneStore(t, newStore(t))
	save(t, s, "k")
	item, err := s.Get(t.Context(), "s", state.Get{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Delete(t.Context(), "s", state.Op{Key: "k", ETag: "999999", HasETag: true}), capability.ETagMismatch)
	wantError(t, s.Save(t.Context(), "s", []state.Op{{Key: "k", Options: state.Options{Concurrency: state.FirstWrite}}}), capability.ETagMismatch)
	if err := s.Delete(t.Context(), "s", state.Op{Key: "k", ETag: item.ETag, HasETag: true}); err != nil {
		t.Error(err)
	}
	save(t, s, "k")
	// No etag is no etag: neither a delete nor a transaction compares one then.
	if err := s.Delete(t.Context(), "s", state.Op{Key: "k"}); err != nil {
		t.Errorf("delete without an etag: %v", err)
	}
	save(t, s, "k")
	if err := s.Transact(t.Context(), "s", []capability.TransactOp{
		{Type: capability.Delete, Op: state.Op{Key: "k"}}, {Type: capability.Upsert, Op: state.Op{Key: "new"}},
	}, nil); err != nil {
		t.Errorf("transaction without etags: %v", err)
	}
}

func TestTransact(t *testing.T) {
	s := oneStore(t, newStore(t))
	save(t, s, "old", "kept")
	up := func(key string) capability.TransactOp {
		return capability.TransactOp{Type: "upsert", Op: state.Op{Key: key, Value: []byte("new")}}
	}
	if err := s.Transact(t.Context(), "s", []capability.TransactOp{up("a"), {Type: "delete", Op: state.Op{Key: "old"}}, up("a")}, nil); err != nil {
		t.Fatal(err)
	}
	if a, old := value(t, s, "a"), value(t, s, "old"); a != "new" || old != "none" {
		t.Errorf("after the transaction: %q, %q", a, old)
	}
	for name, tc := range map[string]struct {
		bad  capability.TransactOp
		want capability.Kind
		text string
	}{
		"etag":         {capability.TransactOp{Type: "upsert", Op: state.Op{Key: "kept", ETag: "999999", HasETag: true}}, capability.ETagMismatch, "etag"},
		"type":         {capability.TransactOp{Type: "UPSERT", Op: state.Op{Key: "kept"}}, capability.NotSupported, "operation type UPSERT not supported"},
		"no type":      {capability.TransactOp{Op: state.Op{Key: "kept"}}, capability.NotSupported, "not supported"},
		"no request":   {capability.TransactOp{Type: "upsert", Missing: true}, capability.InvalidArgument, "operation 1 (upsert)"},
		"key":          {up("a||b"), capability.IllegalKey, "a||b"},
		"time to live": {capability.TransactOp{Type: "upsert", Op: state.Op{Key: "kept", Metadata: map[string]string{"ttlInSeconds": "x"}}}, capability.InvalidArgument, "ttlInSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Transact(t.Context(), "s", []capability.TransactOp{up("b"), tc.bad}, nil)
			if wantError(t, err, tc.want); !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %q does not have %q", err, tc.text)
			}
			if got := value(t, s, "b"); got != "none" {
				t.Errorf("half of a failed transaction happened: %q", got)
			}
		})
	}
	plain := oneStore(t, single{newStore(t)})
	err := plain.Transact(t.Context(), "s", []capability.TransactOp{up("a")}, nil)
	if wantError(t, err, capability.NotSupported); !strings.Contains(err.Error(), "doesn't support transaction") {
		t.Errorf("error %q", err)
	}
}

// recorder notes the operations of transactions.
type recorder struct {
	state.Store
	ops []state.Op
}

func (r *recorder) Transact(_ context.Context, ops []state.Op) error {
	r.ops = ops
	return nil
}

func TestTransactMetadata(t *testing.T) {
	r := &recorder{Store: newStore(t)}
	own, all := map[string]string{"b": "item"}, map[string]string{"a": "all", "b": "all"}
	if err := oneStore(t, r).Transact(t.Context(), "s", []capability.TransactOp{
		{Type: "upsert", Op: state.Op{Key: "x", Metadata: own}}, {Type: "delete", Op: state.Op{Key: "y"}},
	}, all); err != nil {
		t.Fatal(err)
	}
	if m := r.ops[0].Metadata; m["a"] != "all" || m["b"] != "item" {
		t.Errorf("metadata of the first operation %v", m)
	}
	if m := r.ops[1].Metadata; m["b"] != "all" || !r.ops[1].Delete || r.ops[0].Delete {
		t.Errorf("second operation %+v", r.ops[1])
	}
	if len(own) != 1 || len(all) != 2 {
		t.Errorf("the caller's maps were changed: %v, %v", own, all)
	}
}

func TestTransactTTL(t *testing.T) {
	r := &recorder{Store: newStore(t)}
	s := oneStore(t, r)
	all := map[string]string{"ttlInSeconds": "10"}
	if err := s.Transact(t.Context(), "s", []capability.TransactOp{
		{Type: "upsert", Op: state.Op{Key: "as all"}},
		{Type: "upsert", Op: state.Op{Key: "own", Metadata: map[string]string{"ttlInSeconds": "20"}}},
		{Type: "upsert", Op: state.Op{Key: "in another case", Metadata: map[string]string{"TTLINSECONDS": "30"}}},
		{Type: "upsert", Op: state.Op{Key: "for ever", Metadata: map[string]string{"ttlInSeconds": "-1"}}},
	}, all); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, 0} {
		if got := r.ops[i].TTL; got != want {
			t.Errorf("%q lives %v, want %v", r.ops[i].Key, got, want)
		}
	}
	r.ops = nil
	err := s.Transact(t.Context(), "s", []capability.TransactOp{{Type: "upsert", Op: state.Op{Key: "x"}}}, map[string]string{"ttlInSeconds": "soon"})
	if e, ok := capability.AsError(err); !ok || e.Kind != capability.InvalidArgument || r.ops != nil {
		t.Errorf("a time to live that is none: %v, the store got %v", err, r.ops)
	}
}

func TestTTL(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "-1": 0, "1": time.Second, "3600": time.Hour, "9223372036": 9223372036 * time.Second,
	} {
		if got, err := capability.ParseTTL(map[string]string{"ttlInSeconds": text}); err != nil || got != want {
			t.Errorf("ParseTTL(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	if got, err := capability.ParseTTL(map[string]string{"TTLInSeconds": "5"}); err != nil || got != 5*time.Second {
		t.Errorf("in another case: %v, %v", got, err)
	}
	for _, text := range []string{"-2", "1.5", "1s", " 1", "9223372037", "abc", "0x10"} {
		if got, err := capability.ParseTTL(map[string]string{"ttlInSeconds": text}); err == nil || !strings.Contains(err.Error(), strconv.Quote(text)) {
			t.Errorf("ParseTTL(%q) = %v, %v; want an error that names it", text, got, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := oneStore(t, newStore(t))
		ops := []state.Op{
			{Key: "short", Metadata: map[string]string{"ttlInSeconds": "10"}},
			{Key: "long", TTL: time.Nanosecond}, // TTL is not the caller's to set
		}
		if err := s.Save(t.Context(), "s", ops); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if got := value(t, s, "short"); got == "none" {
			t.Error("gone after 9 seconds")
		}
		time.Sleep(2 * time.Second)
		if short, long := value(t, s, "short"), value(t, s, "long"); short != "none" || long == "none" {
			t.Errorf("after 11 seconds: %q, %q", short, long)
		}
	})
}
