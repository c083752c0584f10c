package redis

import (
	"context"
	"testing"

	backends "github.com/dapr/components-contrib/configuration"
	daprredis "github.com/dapr/components-contrib/configuration/redis"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// dapr is Dapr's own store.
func dapr(t *testing.T, addr string) backends.Store {
	t.Helper()
	s := daprredis.NewRedisConfigurationStore(logger.NewLogger("test"))
	if err := s.Init(t.Context(), backends.Metadata{Base: metadata.Base{Properties: map[string]string{"redisHost": addr}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(interface{ Close() error }).Close() })
	return s
}

// What is written here is read by Dapr's store, which tells of it, too; and what Dapr's
// documentation has one write is read here as there.
func TestDaprReadsTheSame(t *testing.T) {
	server := testserver.Redis(t)
	ours, theirs, c := mustOpen(t, server.Addr), dapr(t, server.Addr), raw(t, server)
	server.Command("SET", "theirs", "v||2")
	server.Command("SET", "plain", "p")
	save(t, ours,
		configuration.Item{Key: "ours", Content: "w", Metadata: map[string]string{"version": "3"}},
		configuration.Item{Key: "tagged", Content: "t", Tags: map[string]string{"a": "b"}},
		configuration.Item{Key: "both", Content: "u", Tags: map[string]string{"a": "b"}, Metadata: map[string]string{"version": "4"}},
	)
	for _, keys := range [][]string{nil, {"theirs", "plain", "ours", "tagged", "both", "none"}} {
		got, err := theirs.Get(t.Context(), &backends.GetRequest{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		mine := get(t, ours, anywhere, keys...)
		if len(mine) != len(got.Items) || len(mine) != 5 {
			t.Errorf("%d items here, %d there", len(mine), len(got.Items))
		}
		for _, i := range mine {
			if d := got.Items[i.Key]; d == nil || d.Value != i.Content || d.Version != i.Metadata["version"] {
				t.Errorf("%s: %+v here, %+v there", i.Key, i, d)
			}
		}
	}

	changes := make(chan string, 100)
	listeners := func(n int64) func() bool {
		const channel = "__keyspace@0__:ours"
		return func() bool { return c.PubSubNumSub(t.Context(), channel).Val()[channel] == n }
	}
	ctx, cancel := context.WithCancel(t.Context())
	id, err := theirs.Subscribe(ctx, &backends.SubscribeRequest{Keys: []string{"ours"}}, func(_ context.Context, e *backends.UpdateEvent) error {
		for key, item := range e.Items {
			changes <- key + "=" + item.Value
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	told := configurationtest.Follow(t, ours, anywhere, "ours")
	told.Want("//ours=w", configurationtest.Stands)
	eventually(t, "Dapr does not listen", listeners(2))
	save(t, ours, configuration.Item{Key: "ours", Content: "changed"})
	told.Want("//ours=changed")
	if got := <-changes; got != "ours=changed" {
		t.Errorf("Dapr is told %s", got)
	}
	if err := theirs.Unsubscribe(ctx, &backends.UnsubscribeRequest{ID: id}); err != nil {
		t.Error(err)
	}
	cancel()
	// Its backend panics when it is closed before it has seen the end.
	eventually(t, "Dapr goes on listening", listeners(1))
}
