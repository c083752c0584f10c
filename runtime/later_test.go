package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/later"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
)

// undelayed is a broker that cannot deliver later.
type undelayed struct{ pubsub.Broker }

// TestLaterIsFull: what does not fit into the file of messages for later is
// RESOURCE_EXHAUSTED, and names the setting; the info has how full it is.
func TestLaterIsFull(t *testing.T) {
	tables := builtin.Tables()
	tables.Brokers = append(tables.Brokers, components.Row[pubsub.Broker]{
		Type: "undelayed", New: later.Over(func(ctx context.Context, env components.Env, cfg components.Config) (pubsub.Broker, error) {
			b, err := memory.New(ctx, env, cfg)
			return undelayed{b}, err
		}),
	})
	rt := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  data_dir: %q
  pub_subs: {events: {type: undelayed, metadata: {delayStore: embedded, delayMaxMessages: 2}}}
`, t.TempDir()), runtimetest.Options{Tables: &tables})
	client := delayqueuev1.NewDelayQueueClient(rt.Client(t))
	for i := range 3 {
		_, err := client.PublishDelayMessage(t.Context(), &delayqueuev1.DelayMessageRequest{ComponentName: "events", Topic: "t", DelayInSeconds: 3600})
		switch {
		case i < 2 && err != nil:
			t.Fatal(err)
		case i == 2 && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "delayMaxMessages is 2")):
			t.Errorf("one too many: %v", err)
		}
	}
	resp, err := http.Get("http://" + rt.Addr(t, "actuator") + "/actuator/info")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var info struct {
		Components []struct {
			Name    string
			Details map[string]float64
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil {
		t.Fatal(err)
	}
	if len(info.Components) != 1 || info.Components[0].Details["delayed_messages"] != 2 || info.Components[0].Details["delayMaxMessages"] != 2 {
		t.Errorf("the info has %+v", info.Components)
	}
	if !rt.Log.Contains("nearly full") {
		t.Error("nothing was warned of")
	}
}
