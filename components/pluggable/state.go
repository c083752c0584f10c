package pluggable

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// What Dapr's state stores can say that they can do, and keys of metadata.
const (
	featureETag          = "ETAG"
	featureTTL           = "TTL"
	featureTransactional = "TRANSACTIONAL"
	ttlKey               = "ttlInSeconds"
	expiryKey            = "ttlExpireTime"
)

// stateStore is a state store in a process of its own. It implements
// state.Store, state.BulkGetter and components.Checker.
type stateStore struct {
	*link
	client   daprv1.StateStoreClient
	features atomic.Pointer[[]string]
	noBulk   atomic.Bool // the process has no BulkGet
}

// transactionalStore is one that has transactions.
type transactionalStore struct {
	*stateStore
	transactions daprv1.TransactionalStateStoreClient
	most         atomic.Int64 // the most operations of a transaction; 0: no limit
}

func newState(ctx context.Context, l *link, socket Socket, _ components.Env, cfg components.Config) (state.Store, error) {
	s := &stateStore{link: l, client: daprv1.NewStateStoreClient(l)}
	tx := &transactionalStore{stateStore: s, transactions: daprv1.NewTransactionalStateStoreClient(l)}
	l.ping = l.pingDapr(daprv1.StateStore_ServiceDesc)
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		if err := startDapr(ctx, conn, daprv1.StateStore_ServiceDesc, cfg); err != nil {
			return err
		}
		features, err := featuresOf(ctx, conn, daprv1.StateStore_ServiceDesc)
		if err != nil {
			return err
		}
		s.features.Store(&features)
		if !socket.serves(daprv1.TransactionalStoreMultiMaxSize_ServiceDesc.ServiceName) {
			return nil
		}
		resp, err := daprv1.NewTransactionalStoreMultiMaxSizeClient(conn).MultiMaxSize(ctx, &daprv1.MultiMaxSizeRequest{})
		tx.most.Store(max(resp.GetMaxSize(), 0))
		return err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	if socket.serves(daprv1.TransactionalStateStore_ServiceDesc.ServiceName) && s.has(featureTransactional) {
		return tx, nil
	}
	return s, nil
}

func (s *stateStore) has(feature string) bool { return slices.Contains(*s.features.Load(), feature) }

// Features implements state.Store. A process of its own outlives this one.
func (s *stateStore) Features() state.Features {
	return state.Features{ETag: s.has(featureETag), TTL: s.has(featureTTL), Durable: true}
}

// Close implements state.Store.
func (s *stateStore) Close() error {
	s.close()
	return nil
}

// said brings what a call has come to into the kind's form. conditional says that
// the operation has failed conditions that it can be about.
func (s *stateStore) said(ctx context.Context, err error, key string, conditional bool) error {
	kind := kindErrors{closed: state.ErrClosed, codes: map[codes.Code]error{codes.Unimplemented: state.ErrNotSupported}}
	switch code := status.Code(err); {
	case err == nil:
		return nil
	case code == codes.InvalidArgument && aboutETag(err):
		kind.codes[code] = fmt.Errorf("%w (key %q)", state.ErrETagInvalid, key)
	case code == codes.InvalidArgument:
		kind.codes[code] = state.ErrInvalid
	case code == codes.FailedPrecondition && (conditional || aboutETag(err)), code == codes.Aborted && conditional:
		kind.codes[code] = fmt.Errorf("%w (key %q)", state.ErrETagMismatch, key)
	}
	return s.explain(ctx, err, kind)
}

// aboutETag says whether an error's details are about an etag.
func aboutETag(err error) bool {
	for _, d := range status.Convert(err).Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if ok && slices.ContainsFunc(bad.GetFieldViolations(), func(v *errdetails.BadRequest_FieldViolation) bool { return v.GetField() == "etag" }) {
			return true
		}
	}
	return false
}

// Get implements state.Store.
func (s *stateStore) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := cmp.Or(req.Check(), checkKey(req.Key)); err != nil {
		return nil, err
	}
	resp, err := s.client.Get(ctx, getRequest(req))
	if err != nil {
		return nil, s.said(ctx, err, req.Key, false)
	}
	return item(req.Key, resp.GetData(), resp.GetEtag(), resp.GetMetadata()), nil
}

func getRequest(req state.Get) *daprv1.GetRequest {
	return &daprv1.GetRequest{Key: req.Key, Metadata: req.Metadata, Consistency: consistency(req.Consistency)}
}

// Both kinds of constants have the same order.
func consistency(c state.Consistency) daprv1.StateOptions_StateConsistency {
	return daprv1.StateOptions_StateConsistency(c)
}

// item makes an item of an answer; nil when it says that there is none.
func item(key string, data []byte, etag *daprv1.Etag, meta map[string]string) *state.Item {
	if etag == nil && len(data) == 0 {
		return nil
	}
	out := &state.Item{Key: key, Value: data, ETag: etag.GetValue()}
	if end, err := time.Parse(time.RFC3339Nano, meta[expiryKey]); err == nil {
		out.ExpiresAt = end
	}
	return out
}

// BulkGet implements state.BulkGetter.
func (s *stateStore) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	results := make([]state.Result, len(reqs))
	bulk := &daprv1.BulkGetRequest{Options: &daprv1.BulkGetRequestOptions{}}
	places := make(map[string][]int, len(reqs))
	for i, req := range reqs {
		if results[i].Err = cmp.Or(req.Check(), checkKey(req.Key)); results[i].Err != nil {
			continue
		}
		if places[req.Key] == nil {
			bulk.Items = append(bulk.Items, getRequest(req))
		}
		places[req.Key] = append(places[req.Key], i)
	}
	if len(bulk.Items) == 0 {
		return results, ctx.Err()
	}
	if s.noBulk.Load() {
		return s.getEach(ctx, reqs, results)
	}
	resp, err := s.client.BulkGet(ctx, bulk)
	if unimplemented(err) {
		s.noBulk.Store(true)
		return s.getEach(ctx, reqs, results)
	}
	if err != nil {
		return nil, s.said(ctx, err, "", false)
	}
	for _, r := range resp.GetItems() {
		for _, i := range places[r.GetKey()] {
			if r.GetError() != "" {
				results[i].Err = s.failure(r.GetError())
				continue
			}
			results[i].Item = item(r.GetKey(), slices.Clone(r.GetData()), r.GetEtag(), r.GetMetadata())
		}
	}
	return results, nil
}

// getEach is BulkGet of a process that has none.
func (s *stateStore) getEach(ctx context.Context, reqs []state.Get, results []state.Result) ([]state.Result, error) {
	for i, req := range reqs {
		if results[i].Err == nil {
			results[i].Item, results[i].Err = s.Get(ctx, req)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// checkKey says what keeps a key from being sent.
func checkKey(key string) error {
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: the key %q is not UTF-8", state.ErrInvalid, key)
	}
	return nil
}

// checkOp says what keeps the store from carrying out an operation.
func (s *stateStore) checkOp(op state.Op) error {
	if err := cmp.Or(op.Check(), checkKey(op.Key)); err != nil {
		return err
	}
	switch f := s.Features(); {
	case op.Conditional() && !f.ETag:
		return fmt.Errorf("%w: etags and first-write (key %q)", state.ErrNotSupported, op.Key)
	case op.TTL > 0 && !op.Delete && !f.TTL:
		return fmt.Errorf("%w: a time to live (key %q)", state.ErrNotSupported, op.Key)
	case op.TTL > math.MaxInt32*time.Second && !op.Delete:
		return fmt.Errorf("%w: key %q: a time to live of more than %d seconds", state.ErrInvalid, op.Key, math.MaxInt32)
	case op.HasETag && op.ETag == "":
		return fmt.Errorf("%w \"\" (key %q)", state.ErrETagInvalid, op.Key)
	}
	return nil
}

// Write implements state.Store.
func (s *stateStore) Write(ctx context.Context, op state.Op) error {
	if err := s.checkOp(op); err != nil {
		return err
	}
	var err error
	if op.Delete {
		_, err = s.client.Delete(ctx, deleteRequest(op))
	} else {
		_, err = s.client.Set(ctx, setRequest(op))
	}
	return s.said(ctx, err, op.Key, op.Conditional())
}

func setRequest(op state.Op) *daprv1.SetRequest {
	meta := maps.Clone(op.Metadata)
	if op.TTL > 0 {
		if meta == nil {
			meta = make(map[string]string, 1)
		}
		// Whole seconds, never less than was asked for.
		meta[ttlKey] = strconv.FormatInt(int64((op.TTL+time.Second-1)/time.Second), 10)
	} else {
		delete(meta, ttlKey)
	}
	return &daprv1.SetRequest{Key: op.Key, Value: op.Value, Etag: etag(op), Metadata: meta, Options: options(op)}
}

func deleteRequest(op state.Op) *daprv1.DeleteRequest {
	return &daprv1.DeleteRequest{Key: op.Key, Etag: etag(op), Metadata: op.Metadata, Options: options(op)}
}

func etag(op state.Op) *daprv1.Etag {
	if !op.HasETag {
		return nil
	}
	return &daprv1.Etag{Value: op.ETag}
}

// Both kinds of constants have the same order.
func options(op state.Op) *daprv1.StateOptions {
	return &daprv1.StateOptions{Concurrency: daprv1.StateOptions_StateConcurrency(op.Options.Concurrency), Consistency: consistency(op.Options.Consistency)}
}

// Transact implements state.Transactor.
func (s *transactionalStore) Transact(ctx context.Context, ops []state.Op) error {
	if most := s.most.Load(); most > 0 && int64(len(ops)) > most {
		return fmt.Errorf("%w: a transaction of %d operations; %d at most", state.ErrNotSupported, len(ops), most)
	}
	req := new(daprv1.TransactionalStateRequest)
	conditional := ""
	for _, op := range ops {
		if err := s.checkOp(op); err != nil {
			return err
		}
		if op.Conditional() && conditional == "" {
			conditional = op.Key
		}
		if op.Delete {
			req.Operations = append(req.Operations, &daprv1.TransactionalStateOperation{Request: &daprv1.TransactionalStateOperation_Delete{Delete: deleteRequest(op)}})
		} else {
			req.Operations = append(req.Operations, &daprv1.TransactionalStateOperation{Request: &daprv1.TransactionalStateOperation_Set{Set: setRequest(op)}})
		}
	}
	if len(ops) == 0 {
		return ctx.Err()
	}
	_, err := s.transactions.Transact(ctx, req)
	return s.said(ctx, err, conditional, conditional != "")
}
