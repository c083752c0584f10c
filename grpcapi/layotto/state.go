package layotto

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// expiryKey is the key of an item's metadata that says when it ceases to exist,
// as RFC 3339.
const expiryKey = "ttlExpireTime"

// GetState reads one item; one that does not exist has no data and no etag.
func (r *runtimeServer) GetState(ctx context.Context, req *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	consistency, err := toConsistency(req.GetConsistency())
	if err != nil {
		return nil, toStatus(err)
	}
	item, err := r.State.Get(ctx, req.GetStoreName(), state.Get{
		Key: req.GetKey(), Consistency: consistency, Metadata: req.GetMetadata(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	if item == nil {
		return &runtimev1.GetStateResponse{}, nil
	}
	return &runtimev1.GetStateResponse{Data: item.Value, Etag: valid(item.ETag), Metadata: itemMetadata(item)}, nil
}

// GetBulkState reads several items, in the order of the request; what could not
// be read says why in its error.
func (r *runtimeServer) GetBulkState(ctx context.Context, req *runtimev1.GetBulkStateRequest) (*runtimev1.GetBulkStateResponse, error) {
	gets := make([]state.Get, len(req.GetKeys()))
	for i, key := range req.GetKeys() {
		gets[i] = state.Get{Key: key, Metadata: req.GetMetadata()}
	}
	results, err := r.State.BulkGet(ctx, req.GetStoreName(), gets, int(req.GetParallelism()))
	if err != nil {
		return nil, toStatus(err)
	}
	items := make([]*runtimev1.BulkStateItem, len(results))
	for i, res := range results {
		items[i] = &runtimev1.BulkStateItem{Key: res.Key}
		switch {
		case res.Err != nil:
			items[i].Error = valid(itemError(res.Err))
		case res.Item != nil:
			items[i].Data, items[i].Etag = res.Item.Value, valid(res.Item.ETag)
			items[i].Metadata = itemMetadata(res.Item)
		}
	}
	return &runtimev1.GetBulkStateResponse{Items: items}, nil
}

// itemError is the text for one key of a bulk request.
func itemError(err error) string {
	if e, ok := capability.AsError(err); ok {
		return e.Cause()
	}
	return err.Error()
}

// SaveState stores items.
func (r *runtimeServer) SaveState(ctx context.Context, req *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	ops, err := toOps(req.GetStates())
	if err == nil {
		err = r.State.Save(ctx, req.GetStoreName(), ops)
	}
	return empty(err)
}

// DeleteState removes one item.
func (r *runtimeServer) DeleteState(ctx context.Context, req *runtimev1.DeleteStateRequest) (*emptypb.Empty, error) {
	op := state.Op{Key: req.GetKey(), Metadata: req.GetMetadata()}
	setETag(&op, req.GetEtag())
	var err error
	if op.Options, err = toOptions(req.GetOptions()); err == nil {
		err = r.State.Delete(ctx, req.GetStoreName(), op)
	}
	return empty(err)
}

// DeleteBulkState removes items.
func (r *runtimeServer) DeleteBulkState(ctx context.Context, req *runtimev1.DeleteBulkStateRequest) (*emptypb.Empty, error) {
	ops, err := toOps(req.GetStates())
	if err == nil {
		err = r.State.BulkDelete(ctx, req.GetStoreName(), ops)
	}
	return empty(err)
}

// ExecuteStateTransaction stores and removes items, all or none.
func (r *runtimeServer) ExecuteStateTransaction(ctx context.Context, req *runtimev1.ExecuteStateTransactionRequest) (*emptypb.Empty, error) {
	ops := make([]capability.TransactOp, len(req.GetOperations()))
	for i, o := range req.GetOperations() {
		op, err := toOp(o.GetRequest())
		if err != nil {
			return empty(err)
		}
		ops[i] = capability.TransactOp{Type: o.GetOperationType(), Missing: o.GetRequest() == nil, Op: op}
	}
	return empty(r.State.Transact(ctx, req.GetStoreName(), ops, req.GetMetadata()))
}

// empty is the answer of the methods that return nothing.
func empty(err error) (*emptypb.Empty, error) {
	if err != nil {
		return nil, toStatus(err)
	}
	return &emptypb.Empty{}, nil
}

func toOps(items []*runtimev1.StateItem) ([]state.Op, error) {
	ops := make([]state.Op, len(items))
	for i, item := range items {
		var err error
		if ops[i], err = toOp(item); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

// toOp converts one item, without copying its value; it may be nil.
func toOp(item *runtimev1.StateItem) (state.Op, error) {
	options, err := toOptions(item.GetOptions())
	if err != nil {
		return state.Op{}, err
	}
	op := state.Op{Key: item.GetKey(), Value: item.GetValue(), Metadata: item.GetMetadata(), Options: options}
	setETag(&op, item.GetEtag())
	return op, nil
}

// setETag gives op the request's etag. No existing item has the etag "", and
// clients pass on the "" of an item that did not exist: it stands for none. So does
// "0", which Layotto's client for Node sends with every write that has no condition,
// as Redis stores take it for any; it is no item's etag in any store either.
func setETag(op *state.Op, etag *runtimev1.Etag) {
	if value := etag.GetValue(); value != "" && value != "0" {
		op.ETag, op.HasETag = value, true
	}
}

func toOptions(o *runtimev1.StateOptions) (state.Options, error) {
	consistency, err := toConsistency(o.GetConsistency())
	if err != nil {
		return state.Options{}, err
	}
	out := state.Options{Consistency: consistency}
	switch c := o.GetConcurrency(); c {
	case runtimev1.StateOptions_CONCURRENCY_UNSPECIFIED:
	case runtimev1.StateOptions_CONCURRENCY_FIRST_WRITE:
		out.Concurrency = state.FirstWrite
	case runtimev1.StateOptions_CONCURRENCY_LAST_WRITE:
		out.Concurrency = state.LastWrite
	default:
		return out, unknownEnum("concurrency", int32(c))
	}
	return out, nil
}

func toConsistency(c runtimev1.StateOptions_StateConsistency) (state.Consistency, error) {
	switch c {
	case runtimev1.StateOptions_CONSISTENCY_UNSPECIFIED:
		return state.ConsistencyDefault, nil
	case runtimev1.StateOptions_CONSISTENCY_EVENTUAL:
		return state.Eventual, nil
	case runtimev1.StateOptions_CONSISTENCY_STRONG:
		return state.Strong, nil
	}
	return 0, unknownEnum("consistency", int32(c))
}

// unknownEnum is the error for a value that this API does not have: to take it
// for the default could write what must not be written.
func unknownEnum(name string, value int32) error {
	return &capability.Error{
		Kind: capability.InvalidArgument, Capability: capability.StateName,
		Msg: fmt.Sprintf("%s %d is unknown: the known values are 0, 1 and 2", name, value),
	}
}

// itemMetadata returns what else there is to say of an item; nil when nothing.
func itemMetadata(item *state.Item) map[string]string {
	if item.ExpiresAt.IsZero() {
		return nil
	}
	return map[string]string{expiryKey: item.ExpiresAt.UTC().Format(time.RFC3339)}
}
