// Package aws encrypts with Amazon's Key Management Service, type "aws.kms". A
// plain text of any bytes is at most 4 KiB, which is the service's limit.
package aws

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi"
)

// Type is the name by which a configuration asks for it.
const Type = "aws.kms"

// Metadata are the settings.
type Metadata struct {
	AccessKeyID     string `json:"accessKeyID" doc:"Id of the access key."`
	AccessKeySecret string `json:"accessKeySecret" doc:"Secret of the access key."`
	Region          string `json:"region" doc:"Region: us-east-1."`
	KeyID           string `json:"KeyID" doc:"Key that encrypts when a call names none: id, ARN or alias."`
	Endpoint        string `json:"endpoint" doc:"Host or URL of the service. Default kms.<region>.amazonaws.com."`
}

type service struct {
	api    *cloudapi.AWS
	keyID  string
	closed atomic.Bool
}

// New makes the cipher. It calls nobody: the first call shows whether the key is good.
func New(_ context.Context, _ components.Env, cfg components.Config) (cryption.Cipher, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if err := cloudapi.Required(cfg, map[string]string{"accessKeyID": m.AccessKeyID, "accessKeySecret": m.AccessKeySecret, "region": m.Region}); err != nil {
		return nil, err
	}
	return &service{keyID: m.KeyID, api: &cloudapi.AWS{
		Client: cloudapi.NewClient(), Endpoint: cloudapi.Endpoint(m.Endpoint, "kms."+m.Region+".amazonaws.com"), Service: "kms", Target: "TrentService",
		Region: m.Region, KeyID: m.AccessKeyID, KeySecret: m.AccessKeySecret, Question: "ListKeys",
	}}, nil
}

// request and answer are those of both actions; []byte is base64 in JSON.
type request struct {
	KeyId          string `json:",omitempty"` //nolint:staticcheck // the vendor's key
	Plaintext      []byte `json:",omitempty"`
	CiphertextBlob []byte `json:",omitempty"`
}

type answer struct {
	KeyId                     string //nolint:staticcheck // the vendor's key
	Plaintext, CiphertextBlob []byte
}

// Encrypt implements cryption.Cipher.
func (s *service) Encrypt(ctx context.Context, plain []byte, keyID string) (*cryption.Result, error) {
	if keyID == "" {
		keyID = s.keyID
	}
	if keyID == "" {
		return nil, fmt.Errorf("the call names no key, and metadata.KeyID is empty: %w", cryption.ErrNoKey)
	}
	a, err := s.call(ctx, "Encrypt", request{KeyId: keyID, Plaintext: plain})
	if err != nil {
		return nil, err
	}
	return &cryption.Result{Data: a.CiphertextBlob, KeyID: a.KeyId}, nil
}

// Decrypt implements cryption.Cipher.
func (s *service) Decrypt(ctx context.Context, text []byte) (*cryption.Result, error) {
	if len(text) == 0 {
		return nil, cryption.ErrInvalid
	}
	a, err := s.call(ctx, "Decrypt", request{CiphertextBlob: text})
	if err != nil {
		return nil, err
	}
	return &cryption.Result{Data: a.Plaintext, KeyID: a.KeyId}, nil
}

func (s *service) call(ctx context.Context, action string, r request) (*answer, error) {
	if s.closed.Load() {
		return nil, cryption.ErrClosed
	}
	var a answer
	err := s.api.Call(ctx, action, r, &a)
	if e, ok := errors.AsType[*cloudapi.Error](err); ok {
		switch e.Code {
		case "NotFoundException":
			return nil, fmt.Errorf("%w: %w", cryption.ErrNoKey, err)
		case "InvalidCiphertextException", "IncorrectKeyException":
			return nil, fmt.Errorf("%w: %w", cryption.ErrInvalid, err)
		}
	}
	return &a, err
}

// Close implements cryption.Cipher.
func (s *service) Close() error {
	s.closed.Store(true)
	s.api.Client.Close()
	return nil
}

// Check implements components.Checker: the service answers and knows the credentials.
// Whether they may use the key, the first call shows.
func (s *service) Check(ctx context.Context) error { return s.api.Check(ctx) }
