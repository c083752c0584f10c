package capability

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// maxParallelism bounds how many reads one bulk request may have under way.
const maxParallelism = 64

// BulkResult is what BulkGet found for one key.
type BulkResult struct {
	// Key is the user's.
	Key string
	// Item is nil when there is none, or on an error. Its Key is the stored one.
	Item *state.Item
	// Err is an *Error, or nil.
	Err error
}

// BulkGet reads many keys and returns one result per request, in their order. A
// key that cannot be read has its error in its result; the call as a whole fails
// when a key is not allowed, ctx ends, or the store fails as a whole. Without
// help from the store at most parallelism reads run at once, at least one and
// not more than 64. reqs is changed.
func (s *State) BulkGet(ctx context.Context, store string, reqs []state.Get, parallelism int) ([]BulkResult, error) {
	c, err := s.find(StateBulkGet, store)
	if err != nil {
		return nil, err
	}
	results := make([]BulkResult, len(reqs))
	for i := range reqs {
		results[i].Key = reqs[i].Key
		if reqs[i].Key, err = c.key(StateBulkGet, store, reqs[i].Key); err != nil {
			return nil, err
		}
	}
	if len(reqs) == 0 {
		return results, nil
	}
	set := func(i int, item *state.Item, err error) {
		results[i].Item = item
		if err != nil {
			results[i].Item, results[i].Err = nil, stateError(ctx, StateBulkGet, store, results[i].Key, err)
		}
	}

	if bulk, ok := c.Store.(state.BulkGetter); ok {
		found, err := bulk.BulkGet(ctx, reqs)
		switch {
		case errors.Is(err, state.ErrNotSupported):
			// The ability is there by type, but not for this server: read singly.
		case err != nil:
			return nil, stateError(ctx, StateBulkGet, store, "", err)
		case len(found) != len(reqs):
			return nil, &Error{
				Kind: Internal, Capability: StateName, Op: StateBulkGet, Component: store,
				Msg: fmt.Sprintf("the store answered %d results for %d keys", len(found), len(reqs)),
			}
		default:
			for i, r := range found {
				set(i, r.Item, r.Err)
			}
			return results, nil
		}
	}

	each(len(reqs), min(max(parallelism, 1), maxParallelism), func(i int) {
		if ctx.Err() != nil {
			return
		}
		item, err := c.Store.Get(ctx, reqs[i])
		set(i, item, err)
	})
	if err := ctx.Err(); err != nil {
		return nil, stateError(ctx, StateBulkGet, store, "", err)
	}
	return results, nil
}

// each calls f with 0 to n-1, at most width of them at once, and returns when
// all have returned. If f panics, so does each, in its own goroutine, where the
// server's recovery is; calls not begun by then are left out.
func each(n, width int, f func(i int)) {
	if width = min(width, n); width <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var panicked atomic.Pointer[error]
	work := func() {
		err := Guard(func() error {
			for panicked.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					break
				}
				f(i)
			}
			return nil
		})
		if err != nil {
			panicked.CompareAndSwap(nil, &err)
		}
	}
	var wg sync.WaitGroup
	for range width - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if p := panicked.Load(); p != nil {
		Repanic(*p)
	}
}

// writeAll carries out all operations, not atomically.
func (s *State) writeAll(ctx context.Context, op Op, store string, ops []state.Op) error {
	c, err := s.find(op, store)
	if err != nil {
		return err
	}
	// All are checked before the first is written: a mistake of the caller's
	// leaves nothing half done.
	for i := range ops {
		if err := c.prepare(op, store, &ops[i]); err != nil {
			return err
		}
	}
	if bulk, ok := c.Store.(state.BulkWriter); ok && len(ops) > 1 {
		return c.bulkWrite(ctx, bulk, op, store, ops)
	}
	for i := range ops {
		err := ctx.Err()
		if err == nil {
			err = c.Store.Write(ctx, ops[i])
		}
		if err != nil {
			e := stateError(ctx, op, store, c.Prefix.Strip(ops[i].Key), err)
			if len(ops) > 1 {
				e.Msg = fmt.Sprintf("item %d of %d, key %q, failed and the items after it were not tried", i+1, len(ops), brief(e.Key))
			}
			return e
		}
	}
	return nil
}

// bulkWrite carries out all operations in one request of the store.
func (c StateStore) bulkWrite(ctx context.Context, bulk state.BulkWriter, op Op, store string, ops []state.Op) error {
	var first *Error
	failed := 0
	errs := bulk.BulkWrite(ctx, ops)
	if len(errs) != len(ops) {
		return &Error{
			Kind: Internal, Capability: StateName, Op: op, Component: store,
			Msg: fmt.Sprintf("the store answered %d results for %d items", len(errs), len(ops)),
		}
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		failed++
		if first == nil {
			first = stateError(ctx, op, store, c.Prefix.Strip(ops[i].Key), err)
		}
	}
	if first == nil {
		return nil
	}
	first.Msg = fmt.Sprintf("%d of %d items failed, the first of them key %q", failed, len(ops), brief(first.Key))
	return first
}
