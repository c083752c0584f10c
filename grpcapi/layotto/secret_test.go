package layotto_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// secretStore holds secrets; it lists them when asked as a listedStore.
type secretStore map[string]secret.Secret

func (s secretStore) Get(ctx context.Context, key string, metadata map[string]string) (secret.Secret, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case key == "broken":
		return nil, errors.New("out of order")
	case metadata["version"] == "1":
		return secret.Secret{key: "old"}, nil
	case s[key] == nil:
		return nil, secret.ErrNotFound
	}
	return s[key], nil
}

func (secretStore) Close() error { return nil }

type listedStore struct{ secretStore }

func (s listedStore) List(context.Context, map[string]string) (map[string]secret.Secret, error) {
	if s.secretStore == nil {
		return nil, errors.New("sealed")
	}
	return s.secretStore, nil
}

func TestSecrets(t *testing.T) {
	stored := secretStore{"db": {"user": "root", "pass": "pw"}, "one": {"one": "1"}}
	client, _ := serve(t, layotto.Config{Secret: capability.NewSecret(map[string]secret.Store{
		"plain": stored, "listed": listedStore{stored}, "sealed": listedStore{},
	})})
	ctx := timeout(t)
	got, err := client.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: "plain", Key: "db"})
	if err != nil || !proto.Equal(got, &runtimev1.GetSecretResponse{Data: map[string]string{"user": "root", "pass": "pw"}}) {
		t.Errorf("GetSecret = %v, %v", got, err)
	}
	got, err = client.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: "plain", Key: "db", Metadata: map[string]string{"version": "1"}})
	if err != nil || got.GetData()["db"] != "old" {
		t.Errorf("GetSecret with metadata = %v, %v", got, err)
	}
	all, err := client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: "listed"})
	if err != nil || len(all.GetData()) != 2 || all.GetData()["db"].GetSecrets()["user"] != "root" {
		t.Errorf("GetBulkSecret = %v, %v", all, err)
	}

	stored["latin1"] = secret.Secret{"latin1": "caf\xe9"}
	_, err = client.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: "plain", Key: "latin1"})
	wantStatus(t, err, codes.Internal, "failed getting secret with key latin1 from secret store plain: "+
		"it is no UTF-8 text, all that this API can carry: store it as base64", "INTERNAL")
	all, err = client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: "listed"})
	if err != nil || len(all.GetData()) != 2 || all.GetData()["latin1"] != nil {
		t.Errorf("GetBulkSecret beside one that cannot be carried = %v, %v", all, err)
	}

	none, _ := serve(t, layotto.Config{})
	for _, c := range []struct {
		client       runtimev1.RuntimeClient
		store, key   string
		code         codes.Code
		text, reason string
	}{
		{none, "plain", "db", codes.FailedPrecondition, "error when get secret but not find configured", "NOT_CONFIGURED"},
		{client, "other", "db", codes.InvalidArgument, "failed finding secret store with key other", "UNKNOWN_COMPONENT"},
		{client, "plain", "nothing", codes.Internal, "failed getting secret with key nothing from secret store plain: there is no such secret", "NOT_FOUND"},
		{client, "plain", "broken", codes.Internal, "failed getting secret with key broken from secret store plain: out of order", "INTERNAL"},
	} {
		_, err := c.client.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: c.store, Key: c.key})
		wantStatus(t, err, c.code, c.text, c.reason)
	}
	_, err = client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: "sealed"})
	wantStatus(t, err, codes.Internal, "failed getting secrets from secret store sealed: sealed", "INTERNAL")
	_, err = client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: "plain"})
	wantStatus(t, err, codes.Unimplemented, "secret store plain cannot list its secrets: get them one by one", "NOT_SUPPORTED")
}
