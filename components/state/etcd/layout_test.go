package etcd_test

import (
	"log/slog"
	"testing"

	contribstate "github.com/dapr/components-contrib/state"
	contribetcd "github.com/dapr/components-contrib/state/etcd"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/etcd"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	server "github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

// TestLayouts: what contrib's store has written is read here, and the other way
// round, with the same etags.
func TestLayouts(t *testing.T) {
	t.Parallel()
	s := server.Start(t)
	for name, tt := range map[string]struct {
		ours   components.Factory[state.Store]
		theirs func(logger.Logger) contribstate.Store
	}{
		"v1": {etcd.V1, contribetcd.NewEtcdStateStoreV1}, "v2": {etcd.V2, contribetcd.NewEtcdStateStoreV2},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := "layout-" + name
			theirs := tt.theirs(contrib.NewLogger(slog.New(slog.DiscardHandler)))
			meta := contribstate.Metadata{}
			meta.Properties = map[string]string{"endpoints": s.Addr, "keyPrefixPath": prefix}
			if err := theirs.Init(t.Context(), meta); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := theirs.Close(); err != nil {
					t.Error(err)
				}
			}()
			ours := statetest.New(tt.ours, map[string]any{"endpoints": s.Addr, "keyPrefixPath": prefix})(t)
			defer func() {
				if err := ours.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := theirs.Set(t.Context(), &contribstate.SetRequest{Key: "a||k", Value: []byte("theirs\x00"), Metadata: map[string]string{"ttlInSeconds": "100"}}); err != nil {
				t.Fatal(err)
			}
			item, err := ours.Get(t.Context(), state.Get{Key: "a||k"})
			if err != nil || item == nil || string(item.Value) != "theirs\x00" || item.ExpiresAt.IsZero() {
				t.Fatalf("%+v, %v", item, err)
			}
			if err := ours.Write(t.Context(), state.Op{Key: "a||k", Value: []byte("ours"), ETag: item.ETag, HasETag: true}); err != nil {
				t.Fatal(err)
			}
			item, err = ours.Get(t.Context(), state.Get{Key: "a||k"})
			if err != nil || item == nil || !item.ExpiresAt.IsZero() {
				t.Fatalf("%+v, %v", item, err)
			}
			resp, err := theirs.Get(t.Context(), &contribstate.GetRequest{Key: "a||k"})
			if err != nil || string(resp.Data) != "ours" || resp.ETag == nil || *resp.ETag != item.ETag {
				t.Fatalf("%+v, %v; our etag is %s", resp, err, item.ETag)
			}
		})
	}
}
