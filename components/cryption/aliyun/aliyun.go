// Package aliyun encrypts with Alibaba Cloud's Key Management Service, type
// "aliyun.kms" (API of 2016-01-20). A cipher text is the base64 text that the
// service returns; a plain text of any bytes is at most 6 KiB, which is the
// service's limit.
package aliyun

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi"
)

// Type is the name by which a configuration asks for it.
const Type = "aliyun.kms"

// Metadata are the settings.
type Metadata struct {
	AccessKeyID     string `json:"accessKeyID" doc:"Id of the access key."`
	AccessKeySecret string `json:"accessKeySecret" doc:"Secret of the access key."`
	Region          string `json:"region" doc:"Region: cn-hangzhou."`
	KeyID           string `json:"KeyID" doc:"Key that encrypts when a call names none."`
	Endpoint        string `json:"endpoint" doc:"Host or URL of the service. Default kms.<region>.aliyuncs.com."`
}

type service struct {
	api    *cloudapi.Aliyun
	keyID  string
	closed atomic.Bool
}

// New makes the cipher. It calls nobody: the first call shows whether the key is good.
func New(_ context.Context, _ components.Env, cfg components.Config) (cryption.Cipher, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if err := cloudapi.Required(cfg, map[string]string{"accessKeyID": m.AccessKeyID, "accessKeySecret": m.AccessKeySecret}); err != nil {
		return nil, err
	}
	if m.Region == "" && m.Endpoint == "" {
		return nil, cloudapi.Required(cfg, map[string]string{"region": ""})
	}
	return &service{keyID: m.KeyID, api: &cloudapi.Aliyun{
		Client: cloudapi.NewClient(), Endpoint: cloudapi.Endpoint(m.Endpoint, "kms."+m.Region+".aliyuncs.com"), Version: "2016-01-20",
		KeyID: m.AccessKeyID, KeySecret: m.AccessKeySecret, Question: "ListKeys",
	}}, nil
}

// answer is what the service answers to both actions.
type answer struct {
	CiphertextBlob, Plaintext, KeyId, KeyVersionId, RequestId string //nolint:staticcheck // the vendor's keys
}

// Encrypt implements cryption.Cipher.
func (s *service) Encrypt(ctx context.Context, plain []byte, keyID string) (*cryption.Result, error) {
	if keyID == "" {
		keyID = s.keyID
	}
	if keyID == "" {
		return nil, fmt.Errorf("the call names no key, and metadata.KeyID is empty: %w", cryption.ErrNoKey)
	}
	a, err := s.call(ctx, "Encrypt", map[string]string{"KeyId": keyID, "Plaintext": base64.StdEncoding.EncodeToString(plain)})
	if err != nil {
		return nil, err
	}
	return &cryption.Result{Data: []byte(a.CiphertextBlob), KeyID: a.KeyId, KeyVersionID: a.KeyVersionId, RequestID: a.RequestId}, nil
}

// Decrypt implements cryption.Cipher.
func (s *service) Decrypt(ctx context.Context, text []byte) (*cryption.Result, error) {
	if len(text) == 0 {
		return nil, cryption.ErrInvalid
	}
	a, err := s.call(ctx, "Decrypt", map[string]string{"CiphertextBlob": string(text)})
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.DecodeString(a.Plaintext)
	if err != nil {
		// Encrypted by a program that handed over the text itself.
		plain = []byte(a.Plaintext)
	}
	return &cryption.Result{Data: plain, KeyID: a.KeyId, KeyVersionID: a.KeyVersionId, RequestID: a.RequestId}, nil
}

func (s *service) call(ctx context.Context, action string, params map[string]string) (*answer, error) {
	if s.closed.Load() {
		return nil, cryption.ErrClosed
	}
	var a answer
	err := s.api.Call(ctx, action, params, &a)
	if e, ok := errors.AsType[*cloudapi.Error](err); ok {
		switch {
		case strings.HasPrefix(e.Code, "Forbidden.KeyNotFound"), strings.Contains(e.Code, "KeyNotFound"):
			return nil, fmt.Errorf("%w: %w", cryption.ErrNoKey, err)
		case e.Code == "InvalidCiphertext", e.Code == "InvalidParameter" && action == "Decrypt":
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
