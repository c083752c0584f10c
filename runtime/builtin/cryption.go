package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
)

// ciphers are the encryption services.
func ciphers() []components.Row[cryption.Cipher] {
	return nil
}
