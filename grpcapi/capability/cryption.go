package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/cryption"
)

// Cryption encrypts and decrypts with the services it was made from.
type Cryption struct {
	ciphers map[string]cryption.Cipher
}

// NewCryption takes them by their names. The map is copied.
func NewCryption(ciphers map[string]cryption.Cipher) *Cryption {
	return &Cryption{ciphers: maps.Clone(ciphers)}
}
