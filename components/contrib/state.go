package contrib

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dapr/components-contrib/health"
	"github.com/dapr/components-contrib/metadata"
	contribstate "github.com/dapr/components-contrib/state"
	stateutils "github.com/dapr/components-contrib/state/utils"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// StateTraits is what has to be known of one of contrib's state stores beyond
// what it tells. The zero value takes it at its word.
type StateTraits struct {
	// ETag tells whether a text can be one of the store's etags; nil: every text
	// that is not empty can.
	ETag func(text string) bool
	// Key says what keeps the store from taking a key; nil: it takes all.
	Key func(key string) error
	// Value says what keeps the store from keeping a value as it is; nil: it keeps all.
	Value func(value []byte) error
	// Volatile: what was written may be gone when the server ends.
	Volatile bool
	// BulkGet: the store reads many keys in one round trip.
	BulkGet bool
	// CreatesWithETag: a write with an etag makes a key that does not exist, instead
	// of failing. The adapter looks before it writes then, which leaves a gap when
	// another writer deletes the key just after the look.
	CreatesWithETag bool
	// DeletesExpired: a delete with an etag succeeds for an item that has expired,
	// but was not swept away. The adapter looks before it deletes then.
	DeletesExpired bool
	// NoETag and NoTTL: the store declares the feature, but does not keep its promise.
	NoETag, NoTTL bool
	// Transactions tells by the settings whether the server has them; nil: when the
	// store declares them.
	Transactions func(properties map[string]string) bool
	// Again tells an error after which the operation did not happen and may be sent
	// again: a deadlock that the server resolved.
	Again func(error) bool
	// Refused tells an error by which the server does not take a key or value, however
	// often it is tried: state.ErrInvalid.
	Refused func(error) bool
	// Missing tells an error by which the store says that a key does not exist; nil: it
	// says so with an answer that has no value.
	Missing func(error) bool
	// Prepare is called with the settings before the store is made, and returns those
	// to make it with; nil: as they are. It must not change its argument.
	Prepare func(ctx context.Context, properties map[string]string) (map[string]string, error)
}

const (
	// bulkParallel is how many keys are read at the same time where the store has
	// no call for many.
	bulkParallel = 16
	// tries is how often an operation is sent when StateTraits.Again says so.
	tries = 10
	// againAfter is the wait before the second try; it doubles with every other one.
	againAfter = 2 * time.Millisecond
)

// State makes a constructor of state.Store of one of contrib's.
func State(newStore func(logger.Logger) contribstate.Store, traits StateTraits) components.Factory[state.Store] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (state.Store, error) {
		base := Base(cfg)
		backend := newStore(NewLogger(env.Log))
		WarnUnknown(cfg, backend, stateutils.MetadataTTLKey)
		if traits.Prepare != nil {
			properties, err := await(ctx, func(ctx context.Context) (map[string]string, error) { return traits.Prepare(ctx, base.Properties) })
			if err != nil {
				return nil, hideSecrets(err, base.Properties)
			}
			base.Properties = properties
		}
		if err := initState(ctx, backend, base); err != nil {
			return nil, hideSecrets(located(err, base.Properties), base.Properties)
		}
		return adaptState(backend, traits, base.Properties), nil
	}
}

// located says where the server should be, unless the error does.
func located(err error, properties map[string]string) error {
	for _, name := range []string{"hosts", "host", "servers", "server", "httpAddr", "endpoint", "address"} {
		for key, where := range properties {
			if strings.EqualFold(key, name) && where != "" && !strings.Contains(err.Error(), where) {
				return fmt.Errorf("%s: %w", where, err)
			}
		}
	}
	return err
}

// initState makes the backend ready, or closes it.
func initState(ctx context.Context, backend contribstate.Store, base metadata.Base) error {
	done := make(chan error, 1)
	go func() {
		_, err := protect(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, backend.Init(ctx, contribstate.Metadata{Base: base})
		}).unpack()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return errors.Join(err, closeFailed(backend))
		}
		return nil
	case <-ctx.Done():
		go func() { // it ends when Init does, which nobody waits for any more
			<-done //nolint:errcheck // nobody waits for its error any more
			_ = closeFailed(backend)
		}()
		return fmt.Errorf("cannot connect in time: %w", context.Cause(ctx))
	}
}

func (o outcome[T]) unpack() (T, error) { return o.value, o.err }

func adaptState(backend contribstate.Store, traits StateTraits, properties map[string]string) state.Store {
	features := backend.Features()
	s := &stateStore{
		backend: backend, traits: traits, properties: properties,
		features: state.Features{
			ETag:    contribstate.FeatureETag.IsPresent(features) && !traits.NoETag,
			TTL:     contribstate.FeatureTTL.IsPresent(features) && !traits.NoTTL,
			Durable: !traits.Volatile,
		},
	}
	tx, ok := backend.(contribstate.TransactionalStore)
	if !ok || !contribstate.FeatureTransactional.IsPresent(features) || traits.Transactions != nil && !traits.Transactions(properties) {
		return s
	}
	return &transactional{stateStore: s, tx: tx}
}

// stateStore is one of contrib's stores. It implements state.Store,
// state.BulkGetter and components.Checker.
type stateStore struct {
	backend    contribstate.Store
	traits     StateTraits
	properties map[string]string
	features   state.Features
	gate       gate
	closing    sync.Once
}

// transactional is one that has transactions.
type transactional struct {
	*stateStore
	tx contribstate.TransactionalStore
}

// Features implements state.Store.
func (s *stateStore) Features() state.Features { return s.features }

// Close implements state.Store.
func (s *stateStore) Close() (err error) {
	s.closing.Do(func() {
		s.gate.shut()
		done := make(chan error, 1)
		go func() { done <- closeQuietly(s.backend) }()
		timer := time.NewTimer(drainTimeout)
		defer timer.Stop()
		select {
		case err = <-done:
		case <-timer.C:
			err = fmt.Errorf("the backend did not close within %s", drainTimeout)
		}
	})
	return err
}

// Check implements components.Checker: it asks the backend how it is, or for a key
// that is not there.
func (s *stateStore) Check(ctx context.Context) error {
	_, err := callState(ctx, s, "", func(ctx context.Context) (struct{}, error) {
		if pinger, ok := s.backend.(health.Pinger); ok {
			return struct{}{}, pinger.Ping(ctx)
		}
		_, err := s.ask(ctx, &contribstate.GetRequest{Key: "ottavo-health"})
		return struct{}{}, err
	})
	return err
}

// callState calls the backend while the store is open, again when the backend
// asks for it, and brings its error into the kind's form.
func callState[T any](ctx context.Context, s *stateStore, key string, call func(context.Context) (T, error)) (T, error) {
	value, err := answered(ctx, func(ctx context.Context) (value T, err error) {
		if !s.gate.enter() {
			return value, state.ErrClosed
		}
		defer s.gate.leave()
		wait := againAfter
		for i := 1; ; i++ {
			value, err = call(ctx)
			if err == nil || i == tries || s.traits.Again == nil || !s.traits.Again(err) || !pause(ctx, wait) {
				return value, err
			}
			wait *= 2
		}
	})
	return value, s.explain(ctx, key, err)
}

// pause waits, and says whether ctx is still good then.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// explain brings an error of the backend into the kind's form.
func (s *stateStore) explain(ctx context.Context, key string, err error) error {
	if err == nil || errors.Is(err, state.ErrClosed) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if tag, ok := errors.AsType[*contribstate.ETagError](err); ok {
		if tag.Kind() == contribstate.ETagInvalid {
			return fmt.Errorf("%w (key %q)", state.ErrETagInvalid, key)
		}
		return fmt.Errorf("%w (key %q)", state.ErrETagMismatch, key)
	}
	refused := s.traits.Refused != nil && s.traits.Refused(err)
	err = hideSecrets(err, s.properties)
	if refused {
		return fmt.Errorf("%w: %w", state.ErrInvalid, err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New("the backend does not answer: " + err.Error()) // its own limit, not the caller's
	}
	return err
}

// checkKey says what keeps the store from taking a key.
func (s *stateStore) checkKey(key string) error {
	if s.traits.Key == nil {
		return nil
	}
	if err := s.traits.Key(key); err != nil {
		return fmt.Errorf("%w: key %.100q: %w", state.ErrInvalid, key, err)
	}
	return nil
}

// Get implements state.Store.
func (s *stateStore) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := cmp.Or(req.Check(), s.checkKey(req.Key)); err != nil {
		return nil, err
	}
	return callState(ctx, s, req.Key, func(ctx context.Context) (*state.Item, error) { return s.get(ctx, req) })
}

func (s *stateStore) get(ctx context.Context, req state.Get) (*state.Item, error) {
	get := getRequest(req)
	resp, err := s.ask(ctx, &get)
	if err != nil || resp == nil {
		return nil, err
	}
	return s.item(req.Key, resp.Data, resp.ETag, resp.Metadata), nil
}

// ask reads a key; nil when the store says by an error that there is none.
func (s *stateStore) ask(ctx context.Context, req *contribstate.GetRequest) (*contribstate.GetResponse, error) {
	resp, err := s.backend.Get(ctx, req)
	switch {
	case s.traits.Missing == nil:
	case err != nil && s.traits.Missing(err):
		return nil, nil
	case err == nil && resp != nil && resp.Data == nil:
		resp.Data = []byte{} // an item without bytes is one, too
	}
	return resp, err
}

func getRequest(req state.Get) contribstate.GetRequest {
	return contribstate.GetRequest{
		Key: req.Key, Metadata: maps.Clone(req.Metadata),
		Options: contribstate.GetStateOption{Consistency: consistencies[req.Consistency]},
	}
}

// item makes an item of an answer; nil when it says that there is none.
func (s *stateStore) item(key string, data []byte, etag *string, meta map[string]string) *state.Item {
	if etag == nil && data == nil {
		return nil
	}
	item := &state.Item{Key: key, Value: data}
	if etag != nil {
		item.ETag = *etag
	}
	if s.features.TTL {
		if end, err := time.Parse(time.RFC3339, meta[contribstate.GetRespMetaKeyTTLExpireTime]); err == nil {
			item.ExpiresAt = end
		}
	}
	return item
}

var (
	consistencies = [...]string{state.ConsistencyDefault: "", state.Eventual: contribstate.Eventual, state.Strong: contribstate.Strong}
	concurrencies = [...]string{state.ConcurrencyDefault: "", state.FirstWrite: contribstate.FirstWrite, state.LastWrite: contribstate.LastWrite}
)

// checkOp says what keeps the store from carrying out an operation.
func (s *stateStore) checkOp(op state.Op) error {
	if err := cmp.Or(op.Check(), s.checkKey(op.Key)); err != nil {
		return err
	}
	if s.traits.Value != nil && !op.Delete {
		if err := s.traits.Value(op.Value); err != nil {
			return fmt.Errorf("%w: the value of key %.100q: %w", state.ErrInvalid, op.Key, err)
		}
	}
	switch {
	case op.Conditional() && !s.features.ETag:
		return fmt.Errorf("%w: etags and first-write (key %q)", state.ErrNotSupported, op.Key)
	case op.TTL > 0 && !op.Delete && !s.features.TTL:
		return fmt.Errorf("%w: a time to live (key %q)", state.ErrNotSupported, op.Key)
	case op.HasETag && (op.ETag == "" || s.traits.ETag != nil && !s.traits.ETag(op.ETag)):
		return fmt.Errorf("%w %q (key %q)", state.ErrETagInvalid, op.ETag, op.Key)
	case !op.Delete && op.TTL > math.MaxInt32*time.Second:
		return fmt.Errorf("%w: key %q: a time to live of more than %d seconds", state.ErrInvalid, op.Key, math.MaxInt32)
	}
	return nil
}

// Write implements state.Store.
func (s *stateStore) Write(ctx context.Context, op state.Op) error {
	if err := s.checkOp(op); err != nil {
		return err
	}
	if err := s.look(ctx, op); err != nil {
		return err
	}
	// Made here: the call may go on when this has returned, and the value is the caller's.
	set, remove := setRequest(op), deleteRequest(op)
	_, err := callState(ctx, s, op.Key, func(ctx context.Context) (struct{}, error) {
		if op.Delete {
			return struct{}{}, s.backend.Delete(ctx, new(remove))
		}
		return struct{}{}, s.backend.Set(ctx, new(set))
	})
	return s.blame(ctx, err, op)
}

// look fails what the store would carry out although the key does not exist. In a
// transaction it looks at the first operation of each key only: what the others find
// depends on those before them.
func (s *stateStore) look(ctx context.Context, ops ...state.Op) error {
	touched := map[string]bool{}
	for _, op := range ops {
		first := !touched[op.Key]
		touched[op.Key] = true
		if !first || !op.HasETag || (op.Delete && !s.traits.DeletesExpired) || (!op.Delete && !s.traits.CreatesWithETag) {
			continue
		}
		item, err := s.Get(ctx, state.Get{Key: op.Key, Consistency: state.Strong})
		if err != nil {
			return err
		}
		if item == nil {
			return op.Precondition(false, "")
		}
	}
	return nil
}

// blame finds out whether a write that failed for whatever reason failed because
// of its own conditions: some stores refuse a first-write of a key that exists with
// an error like any other.
func (s *stateStore) blame(ctx context.Context, err error, ops ...state.Op) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, state.ErrETagMismatch) || errors.Is(err, state.ErrETagInvalid) || errors.Is(err, state.ErrClosed) {
		return err
	}
	type known struct {
		exists bool
		etag   string // "" after a write of the same transaction: nobody can know it
	}
	seen := map[string]known{}
	conditional := false
	for _, op := range ops {
		conditional = conditional || op.CreateOnly()
	}
	if !conditional {
		return err
	}
	for _, op := range ops {
		k, ok := seen[op.Key]
		if !ok {
			item, getErr := s.Get(ctx, state.Get{Key: op.Key, Consistency: state.Strong})
			if getErr != nil {
				return err
			}
			if item != nil {
				k = known{exists: true, etag: item.ETag}
			}
		}
		if mismatch := op.Precondition(k.exists, k.etag); mismatch != nil {
			return mismatch
		}
		seen[op.Key] = known{exists: !op.Delete}
	}
	return err
}

// metadataOf is the caller's metadata for the backend, with the time to live that
// counts, in whole seconds, rounded up: an item never ends too early.
func metadataOf(op state.Op) map[string]string {
	meta := maps.Clone(op.Metadata)
	delete(meta, stateutils.MetadataTTLKey)
	if op.TTL > 0 && !op.Delete {
		if meta == nil {
			meta = map[string]string{}
		}
		meta[stateutils.MetadataTTLKey] = strconv.FormatInt(int64((op.TTL+time.Second-1)/time.Second), 10)
	}
	return meta
}

func etagOf(op state.Op) *string {
	if !op.HasETag {
		return nil
	}
	return &op.ETag
}

func setRequest(op state.Op) contribstate.SetRequest {
	// The bytes go in as they are: a backend that keeps texts marks them as bytes,
	// as it does for Dapr and Layotto.
	value := bytes.Clone(op.Value)
	if value == nil {
		value = []byte{}
	}
	return contribstate.SetRequest{
		Key: op.Key, Value: value, ETag: etagOf(op), Metadata: metadataOf(op),
		Options: contribstate.SetStateOption{Concurrency: concurrencies[op.Options.Concurrency], Consistency: consistencies[op.Options.Consistency]},
	}
}

func deleteRequest(op state.Op) contribstate.DeleteRequest {
	concurrency := op.Options.Concurrency
	if !op.HasETag {
		concurrency = state.ConcurrencyDefault // there is nothing that a delete could create
	}
	return contribstate.DeleteRequest{
		Key: op.Key, ETag: etagOf(op), Metadata: metadataOf(op),
		Options: contribstate.DeleteStateOption{Concurrency: concurrencies[concurrency], Consistency: consistencies[op.Options.Consistency]},
	}
}

// Transact implements state.Transactor.
func (s *transactional) Transact(ctx context.Context, ops []state.Op) error {
	request := contribstate.TransactionalStateRequest{Operations: make([]contribstate.TransactionalStateOperation, 0, len(ops))}
	for i, op := range ops {
		if err := s.checkOp(op); err != nil {
			return fmt.Errorf("operation %d: %w", i+1, err)
		}
		if op.Delete {
			request.Operations = append(request.Operations, deleteRequest(op))
		} else {
			request.Operations = append(request.Operations, setRequest(op))
		}
	}
	if err := s.look(ctx, ops...); err != nil {
		return err
	}
	_, err := callState(ctx, s.stateStore, "", func(ctx context.Context) (struct{}, error) {
		if len(ops) == 0 {
			return struct{}{}, nil
		}
		return struct{}{}, s.tx.Multi(ctx, &request)
	})
	return s.blame(ctx, err, ops...)
}
