package ottavo

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Save writes a value under a key, whatever is there, unless an option says
// otherwise.
func (s *State) Save(ctx context.Context, key string, value []byte, opts ...WriteOption) error {
	return s.SaveBulk(ctx, Put(key, value, opts...))
}

// SaveBulk carries out Puts in one call, but not as one: if one fails, others may
// be written already. Transact is all or nothing.
func (s *State) SaveBulk(ctx context.Context, puts ...Op) error {
	items, err := toItems(false, puts)
	if err != nil {
		return err
	}
	_, err = s.api.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: s.store, States: items})
	return failed("SaveState", err)
}

// Delete removes what is under a key, whatever it is, unless an option says
// otherwise. It is no error when nothing is there.
func (s *State) Delete(ctx context.Context, key string, opts ...WriteOption) error {
	items, err := toItems(true, []Op{Remove(key, opts...)})
	if err != nil {
		return err
	}
	item := items[0]
	_, err = s.api.DeleteState(ctx, &runtimev1.DeleteStateRequest{
		StoreName: s.store, Key: item.GetKey(),
		Etag: item.GetEtag(), Options: item.GetOptions(), Metadata: item.GetMetadata(),
	})
	return failed("DeleteState", err)
}

// DeleteBulk carries out Removes in one call, but not as one: if one fails,
// others may be gone already.
func (s *State) DeleteBulk(ctx context.Context, removes ...Op) error {
	items, err := toItems(true, removes)
	if err != nil {
		return err
	}
	_, err = s.api.DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{StoreName: s.store, States: items})
	return failed("DeleteBulkState", err)
}

// Transact carries out Puts and Removes in this order, all of them or none.
// Not every store can; where it cannot, the error's code is Unimplemented.
func (s *State) Transact(ctx context.Context, ops ...Op) error {
	operations := make([]*runtimev1.TransactionalStateOperation, len(ops))
	for i, op := range ops {
		if err := op.check(i); err != nil {
			return err
		}
		name := "upsert"
		if op.remove {
			name = "delete"
		}
		operations[i] = &runtimev1.TransactionalStateOperation{OperationType: name, Request: op.item}
	}
	_, err := s.api.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{StoreName: s.store, Operations: operations})
	return failed("ExecuteStateTransaction", err)
}

// Op is one write, made by Put or Remove. It may be used again.
type Op struct {
	item   *runtimev1.StateItem
	remove bool
	err    error // of an option
}

// Put writes a value under a key. The value is not copied.
func Put(key string, value []byte, opts ...WriteOption) Op {
	return newOp(Op{item: &runtimev1.StateItem{Key: key, Value: value}}, opts)
}

// Remove removes what is under a key.
func Remove(key string, opts ...WriteOption) Op {
	return newOp(Op{item: &runtimev1.StateItem{Key: key}, remove: true}, opts)
}

func newOp(op Op, opts []WriteOption) Op {
	for _, o := range opts {
		if err := o(&op); err != nil {
			op.err = fmt.Errorf("ottavo: key %q: %w", op.item.GetKey(), err)
			break
		}
	}
	return op
}

// WriteOption is a condition of a write, or says how it is done.
type WriteOption func(*Op) error

// IfETag has the write done only if the item's etag still is this one; otherwise
// the error is ErrConflict. "" is no condition.
func IfETag(etag string) WriteOption {
	return func(op *Op) error {
		op.item.Etag = nil
		if etag != "" {
			op.item.Etag = &runtimev1.Etag{Value: etag}
		}
		return nil
	}
}

// FirstWrite has the write done only if there is nothing under the key yet;
// otherwise the error is ErrConflict. With IfETag it changes nothing.
func FirstWrite() WriteOption {
	return func(op *Op) error {
		op.options().Concurrency = runtimev1.StateOptions_CONCURRENCY_FIRST_WRITE
		return nil
	}
}

// WriteConsistency says how far the write must have got when the call returns.
func WriteConsistency(c Consistency) WriteOption {
	return func(op *Op) error {
		op.options().Consistency = runtimev1.StateOptions_StateConsistency(c)
		return nil
	}
}

// TTL has the item cease to exist after that time, which is rounded up to
// seconds. A later write without it lifts it. It is not for Remove.
func TTL(d time.Duration) WriteOption {
	return func(op *Op) error {
		switch {
		case op.remove:
			return fmt.Errorf("a TTL (%s) with Remove makes no sense", d)
		case d <= 0:
			return fmt.Errorf("the TTL must be positive, not %s", d)
		}
		seconds := int64(d / time.Second)
		if d%time.Second != 0 {
			seconds++
		}
		return Metadata(map[string]string{"ttlInSeconds": strconv.FormatInt(seconds, 10)})(op)
	}
}

// Metadata goes to the store, which knows the keys. Several are joined.
func Metadata(m map[string]string) WriteOption {
	return func(op *Op) error {
		if op.item.Metadata == nil {
			op.item.Metadata = make(map[string]string, len(m))
		}
		maps.Copy(op.item.Metadata, m)
		return nil
	}
}

func (op *Op) options() *runtimev1.StateOptions {
	if op.item.Options == nil {
		op.item.Options = &runtimev1.StateOptions{}
	}
	return op.item.Options
}

// check returns what is wrong with the operation at that place of a list.
func (op *Op) check(place int) error {
	if op.err == nil && op.item == nil {
		return fmt.Errorf("ottavo: operation %d was made by neither Put nor Remove", place)
	}
	return op.err
}

// toItems returns the items of ops that must all be of one sort.
func toItems(removes bool, ops []Op) ([]*runtimev1.StateItem, error) {
	items := make([]*runtimev1.StateItem, len(ops))
	for i, op := range ops {
		if err := op.check(i); err != nil {
			return nil, err
		}
		switch {
		case op.remove && !removes:
			return nil, fmt.Errorf("ottavo: key %q: SaveBulk takes Puts; use Transact to mix them with Removes", op.item.GetKey())
		case !op.remove && removes:
			return nil, fmt.Errorf("ottavo: key %q: DeleteBulk takes Removes; use Transact to mix them with Puts", op.item.GetKey())
		}
		items[i] = op.item
	}
	return items, nil
}
