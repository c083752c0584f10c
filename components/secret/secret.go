// Package secret is the contract of stores of secrets: passwords, keys, tokens.
// It never logs or formats a value.
package secret

import (
	"context"
	"errors"
)

// Secret is what is stored under one key: values by their names. A store of
// single values returns one, under the key's own name. It belongs to the receiver.
type Secret map[string]string

// Store reads secrets. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error.
type Store interface {
	// Get returns the secret under key, or ErrNotFound. metadata is what the
	// caller sent along; a backend may read it (versions, namespaces).
	Get(ctx context.Context, key string, metadata map[string]string) (Secret, error)
	// Close releases everything. It is safe twice.
	Close() error
}

// Lister is an optional ability: all secrets that the store may show, by key.
type Lister interface {
	List(ctx context.Context, metadata map[string]string) (map[string]Secret, error)
}

// Errors of a store; test with errors.Is.
var (
	// ErrNotFound: there is no secret under the key.
	ErrNotFound = errors.New("there is no such secret")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("secret store is closed")
)
