// Package configuration is the contract of stores of configuration: texts under
// keys, in groups and under labels, with tags, that can be watched.
package configuration

import (
	"context"
	"errors"
)

// Scope says where keys are looked for.
type Scope struct {
	// AppID is the application whose configuration it is.
	AppID string
	// Group and Label divide an application's keys; "" is the store's default.
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

// Store is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error.
type Store interface {
	// Get returns the items that there are under the keys, all items in scope
	// when keys is empty. A key without an item is left out.
	Get(ctx context.Context, scope Scope, keys []string) ([]Item, error)
	// Save stores items; a Group or Label that is "" is the default's.
	Save(ctx context.Context, appID string, items []Item, metadata map[string]string) error
	// Delete removes the items under exactly these keys. That there is none is no error.
	Delete(ctx context.Context, scope Scope, keys []string) error
	// Watch calls on for every change of the keys (all in scope when keys is
	// empty) until ctx ends, which is when it returns, with nil. It reconnects by
	// itself and misses no change that is still in force then: after a gap, on is
	// called with what differs. Calls of on come one after the other; every
	// watcher has its own, and none waits for another. An error means that the
	// watch cannot be set up at all. ready, when not nil, is called once it stands.
	Watch(ctx context.Context, scope Scope, keys []string, ready func(), on func(Change) error) error
	// Defaults returns the group and the label that "" stands for.
	Defaults() (group, label string)
	// Close ends all watches and releases everything. It is safe twice.
	Close() error
}

// Change is what became of some items at one time, in order.
type Change struct {
	Items []Item
}

// Errors of a store; test with errors.Is.
var (
	// ErrNotSupported: the store cannot do what is asked.
	ErrNotSupported = errors.New("not supported by this configuration store")
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("configuration store is closed")
)
