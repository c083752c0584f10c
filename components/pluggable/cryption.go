package pluggable

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/cryption"
)

// cipher is an encryption service in a process of its own.
type cipher struct {
	*link
	client cryptionv1.CryptionClient
}

func newCipher(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (cryption.Cipher, error) {
	if err := l.startOwn(ctx, cryptionv1.Cryption_ServiceDesc, "cryption", env, cfg, nil); err != nil {
		return nil, err
	}
	return &cipher{l, cryptionv1.NewCryptionClient(l)}, nil
}

func (c *cipher) said(ctx context.Context, err error) error {
	return c.explain(ctx, err, kindErrors{closed: cryption.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: cryption.ErrInvalid, codes.NotFound: cryption.ErrNoKey,
	}})
}

// Encrypt implements cryption.Cipher.
func (c *cipher) Encrypt(ctx context.Context, plain []byte, keyID string) (*cryption.Result, error) {
	resp, err := c.client.Encrypt(ctx, &cryptionv1.EncryptRequest{PlainText: plain, KeyId: keyID})
	if err != nil {
		return nil, c.said(ctx, err)
	}
	return &cryption.Result{Data: resp.GetCipherText(), KeyID: resp.GetKeyId(), KeyVersionID: resp.GetKeyVersionId(), RequestID: resp.GetRequestId()}, nil
}

// Decrypt implements cryption.Cipher.
func (c *cipher) Decrypt(ctx context.Context, text []byte) (*cryption.Result, error) {
	resp, err := c.client.Decrypt(ctx, &cryptionv1.DecryptRequest{CipherText: text})
	if err != nil {
		return nil, c.said(ctx, err)
	}
	return &cryption.Result{Data: resp.GetPlainText(), KeyID: resp.GetKeyId(), KeyVersionID: resp.GetKeyVersionId(), RequestID: resp.GetRequestId()}, nil
}

// Close implements cryption.Cipher.
func (c *cipher) Close() error {
	c.close()
	return nil
}
