//go:build full

package builtin_test

import (
	"context"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestCloudGooglePubSub(t *testing.T) {
	matrix.Wide(t, "pubsub", "gcp.pubsub", "pstest")
	p := testserver.Google(t, "pubsub")
	t.Setenv("PUBSUB_EMULATOR_HOST", p.Addr) // the component does the same, for all the process
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return cloud(t, "pubsub", cloudTables.Brokers, "gcp.pubsub", map[string]any{
				"projectId": "project", "endpoint": p.Addr, "consumerID": group, "ackDeadline": "10s", "connectionRecoveryInSec": "1",
			})
		},
		Redelivery: 20 * time.Second,
	})
}

func TestCloudGoogleBindings(t *testing.T) {
	t.Run("gcp.bucket", func(t *testing.T) {
		matrix.Wide(t, "binding", "gcp.bucket", "fake-gcs-server")
		p := testserver.Google(t, "storage")
		t.Setenv("STORAGE_EMULATOR_HOST", p.Addr) // it has no setting for that
		metadata := map[string]any{"bucket": "bucket", "project_id": "project"}
		bindingtest.RunOutput(t, bindingtest.Output{
			New: func(t *testing.T) binding.Binding {
				return cloud(t, "binding", cloudTables.Bindings, "gcp.bucket", metadata)
			},
			Request: binding.Request{Operation: "create", Data: []byte("content"), Metadata: map[string]string{"key": "a"}}, Want: "objectURL",
			Wrong: &binding.Request{Operation: "get", Metadata: map[string]string{"key": "none"}},
		})
		b := cloud(t, "binding", cloudTables.Bindings, "gcp.bucket", metadata)
		defer b.Close() //nolint:errcheck // nothing follows
		got, err := b.(binding.Output).Invoke(t.Context(), &binding.Request{Operation: "get", Metadata: map[string]string{"key": "a"}})
		if err != nil || string(got.Data) != "content" {
			t.Errorf("what was written is %+v, %v", got, err)
		}
	})
	t.Run("gcp.pubsub", func(t *testing.T) {
		matrix.Wide(t, "binding", "gcp.pubsub", "pstest")
		p := testserver.Google(t, "pubsub")
		t.Setenv("PUBSUB_EMULATOR_HOST", p.Addr) // it has no setting for that
		// The component for events makes the topic and the subscription.
		events := cloud(t, "pubsub", cloudTables.Brokers, "gcp.pubsub", map[string]any{"projectId": "project", "endpoint": p.Addr, "consumerID": "app"})
		if _, err := events.Subscribe(t.Context(), pubsub.Subscription{Topic: "work"}, func(_ context.Context, _ *pubsub.Message) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := events.Close(); err != nil {
			t.Fatal(err)
		}
		open := func(t *testing.T) binding.Binding {
			return cloud(t, "binding", cloudTables.Bindings, "gcp.pubsub", map[string]any{"project_id": "project", "topic": "work", "subscription": "app-work"})
		}
		task := binding.Request{Operation: "create", Data: []byte("task")}
		bindingtest.RunOutput(t, bindingtest.Output{New: open, Request: task})
		sender := open(t)
		t.Cleanup(func() { _ = sender.Close() })
		bindingtest.RunInput(t, bindingtest.Input{New: open, Cause: func(t *testing.T) {
			req := task
			if _, err := sender.(binding.Output).Invoke(t.Context(), &req); err != nil {
				t.Error(err)
			}
		}})
	})
}

func TestCloudFirestore(t *testing.T) {
	matrix.Wide(t, "state", "gcp.firestore", "a stand-in")
	p := testserver.Google(t, "datastore")
	t.Setenv("DATASTORE_EMULATOR_HOST", p.Addr) // the component does the same, for all the process
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return cloud(t, "state", cloudTables.States, "gcp.firestore", map[string]any{"project_id": "project", "endpoint": p.Addr, "noIndex": "true"})
		},
		MaxValue: 1000 << 10,
		Keys:     func(key string) bool { return utf8.ValidString(key) && len(key) <= 1500 },
		Values:   utf8.Valid,
	})
}
