package layotto

import (
	"context"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
)

// cryptionServer answers spec.proto.extension.v1.cryption.CryptionService.
type cryptionServer struct {
	cryptionv1.UnimplementedCryptionServiceServer
	cryption *capability.Cryption
}

// Encrypt encrypts with a key of the service.
func (s *cryptionServer) Encrypt(ctx context.Context, req *cryptionv1.EncryptRequest) (*cryptionv1.EncryptResponse, error) {
	r, err := s.cryption.Encrypt(ctx, req.GetComponentName(), req.GetPlainText(), req.GetKeyId())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cryptionv1.EncryptResponse{CipherText: r.Data, KeyId: valid(r.KeyID), KeyVersionId: valid(r.KeyVersionID), RequestId: valid(r.RequestID)}, nil
}

// Decrypt decrypts what Encrypt returned.
func (s *cryptionServer) Decrypt(ctx context.Context, req *cryptionv1.DecryptRequest) (*cryptionv1.DecryptResponse, error) {
	r, err := s.cryption.Decrypt(ctx, req.GetComponentName(), req.GetCipherText())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cryptionv1.DecryptResponse{PlainText: r.Data, KeyId: valid(r.KeyID), KeyVersionId: valid(r.KeyVersionID), RequestId: valid(r.RequestID)}, nil
}
