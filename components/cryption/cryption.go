// Package cryption is the contract of services that encrypt and decrypt with
// keys that never leave them.
package cryption

import (
	"context"
	"errors"
)

// Result is what came out. It belongs to the receiver.
type Result struct {
	// Data is the cipher text of Encrypt, the plain text of Decrypt.
	Data []byte
	// KeyID and KeyVersionID say which key was used; RequestID is the service's. Each may be "".
	KeyID, KeyVersionID, RequestID string
}

// Cipher is the contract. Its methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error.
type Cipher interface {
	// Encrypt uses the key keyID; "" is the configured one.
	Encrypt(ctx context.Context, plain []byte, keyID string) (*Result, error)
	// Decrypt finds the key by the cipher text.
	Decrypt(ctx context.Context, cipher []byte) (*Result, error)
	// Close releases everything. It is safe twice.
	Close() error
}

// Errors of a cipher; test with errors.Is.
var (
	// ErrInvalid: the cipher text is none of this service, or was changed.
	ErrInvalid = errors.New("not a cipher text of this service, or it was changed")
	// ErrNoKey: there is no such key.
	ErrNoKey = errors.New("there is no such key")
	// ErrClosed: the cipher was closed.
	ErrClosed = errors.New("cipher is closed")
)
