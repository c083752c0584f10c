package layotto_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

type panickingStore struct{ configuration.Store }

func (panickingStore) Watch(context.Context, configuration.Scope, []string, func(configuration.Change) error) error {
	panic("secret of the store")
}

type panickingSequencer struct{ *memory.Sequencer }

func (panickingSequencer) Segment(context.Context, string, int64) (from, to int64, err error) {
	panic("secret of the sequencer")
}

type panickingBroker struct{ pubsub.Broker }

func (panickingBroker) Subscribe(context.Context, pubsub.Subscription, pubsub.Handler) (<-chan struct{}, error) {
	panic("secret of the broker")
}

// A component that panics where gRPC has not called it, in a goroutine of ours, is a
// failed call, whose client learns nothing of it; all goes on.
func TestPanics(t *testing.T) {
	ids, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, _ := serve(t, layotto.Config{
		Configuration: capability.NewConfiguration("app", map[string]configuration.Store{"c": panickingStore{newConfigurationStore(t)}}),
		Sequencer: capability.NewSequencer(map[string]capability.SequencerStore{
			"s": {Sequencer: sequencer.Sequencer(panickingSequencer{ids.(*memory.Sequencer)})},
		}),
		PubSub: capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"events": panickingBroker{}}}),
	})
	failed := func(what string, err error, code codes.Code) {
		t.Helper()
		if status.Code(err) != code || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), ".go:") {
			t.Errorf("%s: %v, want %v", what, err, code)
		}
	}
	for range 3 {
		stream, err := client.SubscribeConfiguration(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: "c"}); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		failed("a watch", err, codes.Internal)
		_, err = client.GetNextId(timeout(t), &runtimev1.GetNextIdRequest{StoreName: "s", Key: "k"})
		failed("a segment", err, codes.Internal)
		_, err = subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"})
		failed("a subscription", err, codes.Unknown)
	}
}
