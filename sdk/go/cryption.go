package ottavo

import (
	"context"

	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
)

// Cipher is one encryption service of the runtime. It is safe for concurrent use
// and costs nothing to make.
type Cipher struct {
	api  cryptionv1.CryptionServiceClient
	name string
}

// Cipher returns the encryption service with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) Cipher(name string) *Cipher {
	return &Cipher{api: cryptionv1.NewCryptionServiceClient(c.conn), name: name}
}

// CryptResult is what Encrypt or Decrypt made.
type CryptResult struct {
	// Data is the encrypted or the plain text.
	Data []byte
	// KeyID, KeyVersionID and RequestID are the service's words; each may be "".
	KeyID, KeyVersionID, RequestID string
}

// Encrypt encrypts data with a key of the service; keyID "" is the key that the
// runtime's configuration names.
func (c *Cipher) Encrypt(ctx context.Context, data []byte, keyID string) (CryptResult, error) {
	resp, err := c.api.Encrypt(ctx, &cryptionv1.EncryptRequest{ComponentName: c.name, PlainText: data, KeyId: keyID})
	if err != nil {
		return CryptResult{}, failed("Encrypt", err)
	}
	return CryptResult{resp.GetCipherText(), resp.GetKeyId(), resp.GetKeyVersionId(), resp.GetRequestId()}, nil
}

// Decrypt returns the plain text of what Encrypt made.
func (c *Cipher) Decrypt(ctx context.Context, data []byte) (CryptResult, error) {
	resp, err := c.api.Decrypt(ctx, &cryptionv1.DecryptRequest{ComponentName: c.name, CipherText: data})
	if err != nil {
		return CryptResult{}, failed("Decrypt", err)
	}
	return CryptResult{resp.GetPlainText(), resp.GetKeyId(), resp.GetKeyVersionId(), resp.GetRequestId()}, nil
}
