package capability

import (
	"context"
	"errors"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/cryption"
)

// Operations of Cryption in an Error.
const (
	CryptionEncrypt Op = "encrypt"
	CryptionDecrypt Op = "decrypt"
)

// Cryption encrypts and decrypts with the services it was made from.
type Cryption struct {
	ciphers map[string]cryption.Cipher
}

// NewCryption takes the services by their names. The map is copied.
func NewCryption(ciphers map[string]cryption.Cipher) *Cryption {
	return &Cryption{ciphers: maps.Clone(ciphers)}
}

// Encrypt uses the key keyID of the service name; "" is the configured key.
func (c *Cryption) Encrypt(ctx context.Context, name string, plain []byte, keyID string) (*cryption.Result, error) {
	return c.do(ctx, CryptionEncrypt, name, func(cipher cryption.Cipher) (*cryption.Result, error) {
		return cipher.Encrypt(ctx, plain, keyID)
	})
}

// Decrypt finds the key by the cipher text.
func (c *Cryption) Decrypt(ctx context.Context, name string, text []byte) (*cryption.Result, error) {
	return c.do(ctx, CryptionDecrypt, name, func(cipher cryption.Cipher) (*cryption.Result, error) {
		return cipher.Decrypt(ctx, text)
	})
}

func (c *Cryption) do(ctx context.Context, op Op, name string, call func(cryption.Cipher) (*cryption.Result, error)) (*cryption.Result, error) {
	var ciphers map[string]cryption.Cipher
	if c != nil {
		ciphers = c.ciphers
	}
	cipher, err := find(ciphers, CryptionName, op, name)
	if err != nil {
		return nil, err
	}
	result, err := call(cipher)
	if err != nil {
		kind := failureKind(ctx)
		switch {
		case errors.Is(err, cryption.ErrInvalid):
			kind = InvalidArgument
		case errors.Is(err, cryption.ErrNoKey):
			kind = NotFound
		}
		return nil, &Error{Kind: kind, Capability: CryptionName, Op: op, Component: name, Err: err}
	}
	return result, nil
}
