package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// Operations of State in an Error.
const (
	StateGet        Op = "get"
	StateBulkGet    Op = "bulk get"
	StateSave       Op = "save"
	StateDelete     Op = "delete"
	StateBulkDelete Op = "bulk delete"
	StateTransact   Op = "transact"
)

// StateStore is one configured state store.
type StateStore struct {
	// Store does the work.
	Store state.Store
	// Type is the type it was configured with, for reports.
	Type string
	// Prefix is put before every key.
	Prefix KeyPrefix
}

// State reads and writes items in the state stores it was made from.
//
// Keys are the user's: not empty, and without "||". Wherever a state.Op is
// passed in, Key is the user's key, TTL is not looked at (it comes from
// Metadata, see TTLKey), and an Op without HasETag stays without one, whatever
// ETag holds.
type State struct {
	stores map[string]StateStore
}

// NewState takes the stores by their names. The map is copied.
func NewState(stores map[string]StateStore) *State {
	return &State{stores: maps.Clone(stores)}
}

func (s *State) find(op Op, name string) (StateStore, error) {
	var stores map[string]StateStore
	if s != nil {
		stores = s.stores
	}
	return find(stores, StateName, op, name)
}

// Get returns the item, or nil when there is none. The Key of the item is the
// stored one, with its prefix.
func (s *State) Get(ctx context.Context, store string, req state.Get) (*state.Item, error) {
	c, err := s.find(StateGet, store)
	if err != nil {
		return nil, err
	}
	user := req.Key
	if req.Key, err = c.key(StateGet, store, user); err != nil {
		return nil, err
	}
	item, err := c.Store.Get(ctx, req)
	if err != nil {
		return nil, stateError(ctx, StateGet, store, user, err)
	}
	return item, nil
}

// Save stores the items. Unless the store can do several at once, they are
// written one after the other, and the first failure ends it: items before it
// are stored then. The Error names the key that failed. ops is changed.
func (s *State) Save(ctx context.Context, store string, ops []state.Op) error {
	return s.writeAll(ctx, StateSave, store, ops)
}

// BulkDelete removes the items as Save stores them. ops is changed.
func (s *State) BulkDelete(ctx context.Context, store string, ops []state.Op) error {
	for i := range ops {
		ops[i].Delete = true
	}
	return s.writeAll(ctx, StateBulkDelete, store, ops)
}

// Delete removes one item. That there is none is no error, unless op has an etag.
func (s *State) Delete(ctx context.Context, store string, op state.Op) error {
	c, err := s.find(StateDelete, store)
	if err != nil {
		return err
	}
	user := op.Key
	op.Delete = true
	if err := c.prepare(StateDelete, store, &op); err != nil {
		return err
	}
	if err := c.Store.Write(ctx, op); err != nil {
		return stateError(ctx, StateDelete, store, user, err)
	}
	return nil
}

// TransactOp is one operation of a transaction.
type TransactOp struct {
	// Type is "upsert" or "delete"; Op.Delete is set from it.
	Type string
	// Missing says that the caller left out what to do it to.
	Missing bool
	Op      state.Op
}

// Types of a TransactOp.
const (
	Upsert = "upsert"
	Delete = "delete"
)

// Transact carries out all operations or none. metadata goes with every
// operation, below the operation's own, TTLKey included; it may be nil.
func (s *State) Transact(ctx context.Context, store string, ops []TransactOp, metadata map[string]string) error {
	c, err := s.find(StateTransact, store)
	if err != nil {
		return err
	}
	tx, ok := c.Store.(state.Transactor)
	if !ok {
		return &Error{
			Kind: NotSupported, Capability: StateName, Op: StateTransact, Component: store,
			Msg: fmt.Sprintf("state store %s doesn't support transaction", store),
		}
	}
	if len(ops) == 0 {
		return nil
	}
	list := make([]state.Op, len(ops))
	for i := range ops {
		if list[i], err = c.transactOp(store, i, &ops[i], metadata); err != nil {
			return err
		}
	}
	if err := tx.Transact(ctx, list); err != nil {
		return stateError(ctx, StateTransact, store, "", err)
	}
	return nil
}

// transactOp makes operation i of a transaction ready for the store.
func (c StateStore) transactOp(store string, i int, t *TransactOp, metadata map[string]string) (state.Op, error) {
	bad := func(kind Kind, format string, args ...any) (state.Op, error) {
		return state.Op{}, &Error{
			Kind: kind, Capability: StateName, Op: StateTransact, Component: store,
			Key: t.Op.Key, Msg: fmt.Sprintf(format, args...),
		}
	}
	if t.Type != Upsert && t.Type != Delete {
		return bad(NotSupported, "operation type %s not supported", brief(t.Type))
	}
	if t.Missing {
		// To pass over it, as Layotto does, would acknowledge a write that did
		// not happen.
		return bad(InvalidArgument, "operation %d (%s) of the transaction has no request: add one or leave the operation out", i, t.Type)
	}
	op := t.Op
	op.Delete = t.Type == Delete
	if len(metadata) > 0 {
		merged := maps.Clone(metadata)
		if lookup(op.Metadata, TTLKey) != "" { // in whatever case
			maps.DeleteFunc(merged, func(key, _ string) bool { return strings.EqualFold(key, TTLKey) })
		}
		maps.Copy(merged, op.Metadata)
		op.Metadata = merged
	}
	if err := c.prepare(StateTransact, store, &op); err != nil {
		return state.Op{}, err
	}
	return op, nil
}

// key checks a user's key and returns the one to store under.
func (c StateStore) key(op Op, store, user string) (string, error) {
	if user == "" {
		return "", &Error{
			Kind: InvalidArgument, Capability: StateName, Op: op, Component: store,
			Msg: "the key is empty: every item needs one",
		}
	}
	if strings.Contains(user, keySeparator) {
		return "", &Error{
			Kind: IllegalKey, Capability: StateName, Op: op, Component: store, Key: user,
			Msg: fmt.Sprintf("key %q can't contain %q, which separates prefix and key: choose another key", brief(user), keySeparator),
		}
	}
	return c.Prefix.Apply(user), nil
}

// prepare makes a caller's operation ready for the store: key and TTL.
func (c StateStore) prepare(op Op, store string, w *state.Op) error {
	user := w.Key
	key, err := c.key(op, store, user)
	if err != nil {
		return err
	}
	w.Key, w.TTL = key, 0
	if w.Delete {
		return nil
	}
	if w.TTL, err = ParseTTL(w.Metadata); err != nil {
		return &Error{Kind: InvalidArgument, Capability: StateName, Op: op, Component: store, Key: user, Err: err}
	}
	return nil
}

// TTLKey is the key of an item's metadata that says how long it lives; its case
// does not matter.
const TTLKey = "ttlInSeconds"

// maxTTLSeconds is what fits into a time.Duration, about 292 years.
const maxTTLSeconds = int64(1<<63-1) / int64(time.Second)

// ParseTTL reads the time to live of an item's metadata: a whole number of
// seconds; 0, -1 and absence mean for ever and are returned as 0.
func ParseTTL(metadata map[string]string) (time.Duration, error) {
	value := lookup(metadata, TTLKey)
	if value == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || seconds < -1 || seconds > maxTTLSeconds:
		return 0, fmt.Errorf("metadata %s %q: must be a whole number of seconds, 1 to %d, or -1 for ever", TTLKey, value, maxTTLSeconds)
	case seconds <= 0:
		return 0, nil
	}
	return time.Duration(seconds) * time.Second, nil
}

// stateError turns what a store returned into an Error.
func stateError(ctx context.Context, op Op, store, key string, err error) *Error {
	kind := Internal
	switch {
	case errors.Is(err, state.ErrETagMismatch):
		kind = ETagMismatch
	case errors.Is(err, state.ErrETagInvalid):
		kind = ETagInvalid
	case errors.Is(err, state.ErrNotSupported):
		kind = NotSupported
	case errors.Is(err, state.ErrInvalid):
		kind = InvalidArgument
	default:
		if k, ok := lateKind(ctx, err); ok {
			kind = k
		}
	}
	return &Error{Kind: kind, Capability: StateName, Op: op, Component: store, Key: key, Err: err}
}
