package configuration

import (
	"context"
	"errors"
	"maps"
)

// Any, as a group, a label or a key that is read or watched, stands for all of
// them. It is no group, label or key of an item.
const Any = "*"

// Scope says where keys are looked for.
type Scope struct {
	// AppID is the application whose configuration it is.
	AppID string
	// Group and Label divide an application's keys; "" is the store's default
	// (see Store.Defaults), Any all of them.
	Group, Label string
	// Metadata is what the caller sent along; a backend may read it.
	Metadata map[string]string
}

// Item is one text and where it stands. It belongs to the receiver.
type Item struct {
	Key, Content, Group, Label string
	// Tags and Metadata may be nil.
	Tags, Metadata map[string]string
	// Deleted says, in a Change only, that the item is gone; Content is "" then.
	Deleted bool
}

// Clone returns a copy that shares nothing with the item.
func (i Item) Clone() Item {
	i.Tags, i.Metadata = maps.Clone(i.Tags), maps.Clone(i.Metadata)
	return i
}

// same says whether two items at the same place differ in nothing.
func (i Item) same(other Item) bool {
	return i.Content == other.Content && maps.Equal(i.Tags, other.Tags) && maps.Equal(i.Metadata, other.Metadata)
}

// Store is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error. After Close they return ErrClosed.
type Store interface {
	// Get returns the items that there are under the keys, all items in scope
	// when there are no keys, sorted by group, label and key, each once. A key
	// without an item is left out.
	Get(ctx context.Context, scope Scope, keys []string) ([]Item, error)
	// Save stores items; a Group or Label that is "" is the default's. Where a
	// store cannot write several at once, those before the first failure are
	// stored.
	Save(ctx context.Context, appID string, items []Item, metadata map[string]string) error
	// Delete removes the items under exactly these keys, in one group and label.
	// That there is none is no error, nor that there are no keys.
	Delete(ctx context.Context, scope Scope, keys []string) error
	// Watch calls on with the items that there are, even if there are none: from
	// then on the watch stands. It then calls on for every change of the keys
	// (all in scope when there are none), until ctx ends: it returns nil then. It
	// reconnects by itself, and misses no change that is still in force then:
	// after a gap, on is called with what differs.
	//
	// Calls of on come one after the other, and none after Watch has returned.
	// While on is busy changes wait for it, of each item only the latest: a
	// watcher that is slow loses no last state, and holds up nobody else.
	//
	// An error of on ends the watch and is returned. Any other error means that
	// the watch could not be set up, or that the store was closed.
	Watch(ctx context.Context, scope Scope, keys []string, on func(Change) error) error
	// Defaults returns the group and the label that "" stands for.
	Defaults() (group, label string)
	// Close ends all watches and releases everything. It is safe twice.
	Close() error
}

// Change is what became of some items, in order.
type Change struct {
	// Initial marks the first call of a watch, with what there is.
	Initial bool
	Items   []Item
}

// Errors of a store; test with errors.Is.
var (
	// ErrNotSupported: the store cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this configuration store")
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrUnavailable: the server behind the store cannot be reached, or does not
	// answer properly.
	ErrUnavailable = errors.New("configuration server unavailable")
	// ErrDenied: the server does not let us, or does not believe who we are.
	ErrDenied = errors.New("configuration server denies access")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("configuration store is closed")
)
