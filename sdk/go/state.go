package ottavo

import (
	"context"
	"errors"
	"time"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// State is one state store of the runtime. It is safe for concurrent use and
// costs nothing to make.
type State struct {
	api   runtimev1.RuntimeClient
	store string
}

// State returns the state store with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) State(name string) *State { return &State{api: c.api, store: name} }

// Item is what a store holds under a key.
type Item struct {
	Key string
	// Found is false when there is nothing under the key; then the rest is empty.
	Found bool
	// Value is the caller's to change.
	Value []byte
	// ETag is the version of the value, to be given to IfETag and not to be read
	// anything into.
	ETag string
	// Expires is when the item ceases to exist; zero when it does not, or when
	// the store does not tell.
	Expires time.Time
	// Metadata is everything that the store says about the item; may be nil.
	Metadata map[string]string
}

// Result is what GetBulk found under one key.
type Result struct {
	Item
	// Err says why this key could not be read; nil when it could, also when
	// nothing is there.
	Err error
}

// Consistency says how fresh a read must be, and how far a write must have got
// when its call returns. Stores that know no difference ignore it.
type Consistency int32

// The consistencies. The zero value is what the store does by default.
const (
	Eventual = Consistency(runtimev1.StateOptions_CONSISTENCY_EVENTUAL)
	Strong   = Consistency(runtimev1.StateOptions_CONSISTENCY_STRONG)
)

// Read holds the options of a read. The zero value is the usual one.
type Read struct {
	Consistency Consistency
	// Metadata goes to the store.
	Metadata map[string]string
}

// Get reads the item under a key. When there is none, the item says so in Found;
// that is no error. At most one Read may be given.
func (s *State) Get(ctx context.Context, key string, read ...Read) (Item, error) {
	var r Read
	if len(read) > 0 {
		r = read[0]
	}
	resp, err := s.api.GetState(ctx, &runtimev1.GetStateRequest{
		StoreName: s.store, Key: key,
		Consistency: runtimev1.StateOptions_StateConsistency(r.Consistency), Metadata: r.Metadata,
	})
	if err != nil {
		return Item{}, failed("GetState", err)
	}
	return newItem(key, resp.GetData(), resp.GetEtag(), resp.GetMetadata()), nil
}

// GetBulk reads many keys in one call. The results are in the order of the keys.
// A key that cannot be read fails alone, in its result's Err; the error
// is about the call as a whole.
func (s *State) GetBulk(ctx context.Context, keys ...string) ([]Result, error) {
	resp, err := s.api.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: s.store, Keys: keys, Parallelism: bulkParallelism})
	if err != nil {
		return nil, failed("GetBulkState", err)
	}
	byKey := make(map[string]*runtimev1.BulkStateItem, len(keys))
	for _, item := range resp.GetItems() {
		byKey[item.GetKey()] = item
	}
	results := make([]Result, len(keys))
	for i, key := range keys {
		item, ok := byKey[key]
		switch {
		case !ok:
			results[i] = Result{Item: Item{Key: key}, Err: errors.New("ottavo: the answer does not hold this key")}
		case item.GetError() != "":
			results[i] = Result{Item: Item{Key: key}, Err: errors.New(item.GetError())}
		default:
			results[i].Item = newItem(key, item.GetData(), item.GetEtag(), item.GetMetadata())
		}
	}
	return results, nil
}

// bulkParallelism is how many keys the runtime reads at a time where the store
// has no bulk read.
const bulkParallelism = 10

// expiryKey is the metadata by which the runtime tells when an item expires.
const expiryKey = "ttlExpireTime"

// newItem makes an item of what came. An existing item has an etag, but stores
// of other runtimes may give none.
func newItem(key string, value []byte, etag string, metadata map[string]string) Item {
	item := Item{Key: key, Found: etag != "" || len(value) > 0, Value: value, ETag: etag, Metadata: metadata}
	if expires, err := time.Parse(time.RFC3339, metadata[expiryKey]); err == nil {
		item.Expires = expires
	}
	return item
}
