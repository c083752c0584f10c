package memory

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// Type is the name of this store in a configuration.
const Type = "in-memory"

// Metadata is the store's configuration.
type Metadata struct {
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// Store keeps items in this process. Use New. It implements state.Store,
// state.BulkGetter, state.BulkWriter and state.Transactor.
type Store struct {
	mu     sync.RWMutex
	closed bool
	items  map[string]*entry
	// floor is the highest version that a removed item had.
	floor uint64
	// expiries orders the items with a TTL by their end.
	expiries expiryHeap
	// sweeping says that the sweeper runs.
	sweeping bool

	wake    chan struct{} // the next expiry came nearer; capacity 1
	done    chan struct{} // closed by Close
	sweeper sync.WaitGroup
}

// entry is one stored item. Apart from slot it never changes after it was
// stored, so readers use it without the lock.
type entry struct {
	key     string
	value   []byte
	version uint64
	etag    string
	expires time.Time // zero: never
	slot    int       // place in the expiry heap, -1 when not in it; guarded by Store.mu
}

func (e *entry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}

// New makes an empty store. It has no settings of its own, so it fails only
// when ctx has ended or the metadata cannot be read.
func New(ctx context.Context, _ components.Env, cfg components.Config) (state.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	return &Store{
		items: make(map[string]*entry),
		wake:  make(chan struct{}, 1),
		done:  make(chan struct{}),
	}, nil
}

// Features implements state.Store.
func (s *Store) Features() state.Features { return state.Features{ETag: true, TTL: true} }

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := req.Check(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, state.ErrClosed
	}
	e := s.items[req.Key]
	s.mu.RUnlock()
	return e.item(), nil
}

// item copies e for a caller; nil when e is nil or has expired.
func (e *entry) item() *state.Item {
	if e == nil || !e.expires.IsZero() && e.expired(time.Now()) {
		return nil
	}
	return &state.Item{Key: e.key, Value: bytes.Clone(e.value), ETag: e.etag, ExpiresAt: e.expires}
}

// BulkGet implements state.BulkGetter. All keys are read at one moment.
func (s *Store) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make([]*entry, len(reqs))
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, state.ErrClosed
	}
	for i := range reqs {
		found[i] = s.items[reqs[i].Key]
	}
	s.mu.RUnlock()

	results := make([]state.Result, len(reqs))
	for i := range reqs {
		if results[i].Err = reqs[i].Check(); results[i].Err == nil {
			results[i].Item = found[i].item()
		}
	}
	return results, nil
}

// Write implements state.Store.
func (s *Store) Write(ctx context.Context, op state.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := prepare(op)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	_, err = s.apply(op, e)
	return err
}

// BulkWrite implements state.BulkWriter.
func (s *Store) BulkWrite(ctx context.Context, ops []state.Op) []error {
	errs := make([]error, len(ops))
	if err := ctx.Err(); err != nil {
		return fill(errs, err)
	}
	entries := make([]*entry, len(ops))
	for i := range ops {
		entries[i], errs[i] = prepare(ops[i])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fill(errs, state.ErrClosed)
	}
	for i := range ops {
		if errs[i] == nil {
			_, errs[i] = s.apply(ops[i], entries[i])
		}
	}
	return errs
}

func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Transact implements state.Transactor. The operations are carried out one
// after the other under the lock; when one fails those before it are undone.
func (s *Store) Transact(ctx context.Context, ops []state.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries := make([]*entry, len(ops))
	for i := range ops {
		var err error
		if entries[i], err = prepare(ops[i]); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	before := make([]*entry, 0, len(ops))
	for i := range ops {
		old, err := s.apply(ops[i], entries[i])
		if err != nil {
			for j := len(before) - 1; j >= 0; j-- {
				s.replace(ops[j].Key, before[j])
			}
			return err
		}
		before = append(before, old)
	}
	return nil
}

// prepare does what needs no lock: it checks op and copies its value.
func prepare(op state.Op) (*entry, error) {
	if err := op.Check(); err != nil {
		return nil, err
	}
	if op.HasETag {
		if _, err := strconv.ParseUint(op.ETag, 10, 64); err != nil {
			return nil, fmt.Errorf("%w: %q of key %q is not a decimal number", state.ErrETagInvalid, op.ETag, op.Key)
		}
	}
	if op.Delete {
		return nil, nil
	}
	e := &entry{key: op.Key, value: bytes.Clone(op.Value), slot: -1}
	if op.TTL > 0 {
		e.expires = time.Now().Add(op.TTL)
	}
	return e, nil
}

// apply carries op out, which prepare made e from, and returns what was stored
// under the key before. The caller holds the lock.
func (s *Store) apply(op state.Op, e *entry) (old *entry, err error) {
	old = s.items[op.Key]
	live := old != nil && (old.expires.IsZero() || !old.expired(time.Now()))
	var etag string
	if live {
		etag = old.etag
	}
	if err := op.Precondition(live, etag); err != nil {
		return nil, err
	}
	if old != nil && (op.Delete || !live) {
		s.floor = max(s.floor, old.version)
	}
	if !op.Delete {
		e.version = s.floor + 1
		if live {
			e.version = old.version + 1
		}
		e.etag = strconv.FormatUint(e.version, 10)
	}
	s.replace(op.Key, e)
	return old, nil
}

// replace puts e in the place of what is stored under key; nil removes it. The
// caller holds the lock.
func (s *Store) replace(key string, e *entry) {
	if old := s.items[key]; old != nil && old.slot >= 0 {
		heap.Remove(&s.expiries, old.slot)
	}
	if e == nil {
		delete(s.items, key)
		return
	}
	s.items[key] = e
	if e.expires.IsZero() {
		return
	}
	heap.Push(&s.expiries, e)
	switch {
	case !s.sweeping:
		s.sweeping = true
		s.sweeper.Go(s.sweep)
	case e.slot == 0:
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Close implements state.Store. The items are gone, and so is the sweeper when
// it returns.
func (s *Store) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.items, s.expiries = nil, nil
		close(s.done)
	}
	s.mu.Unlock()
	s.sweeper.Wait()
	return nil
}
