package layotto_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// newEvents makes the PubSub over a broker in memory, "events", and one that
// cannot delay, "plain".
func newEvents(t testing.TB, app capability.Application) *capability.PubSub {
	t.Helper()
	b, err := memory.New(t.Context(), components.Env{AppID: "app"}, components.Config{Metadata: map[string]any{"concurrency": 4, "redeliverInterval": "20ms"}})
	if err != nil {
		t.Fatal(err)
	}
	p := capability.NewPubSub(capability.PubSubOptions{
		Brokers: map[string]pubsub.Broker{"events": b, "plain": struct{ pubsub.Broker }{b}},
		App:     app, Grace: time.Second,
	})
	t.Cleanup(func() {
		p.Stop()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func publish(t testing.TB, client runtimev1.RuntimeClient, topic, data string) {
	t.Helper()
	_, err := client.PublishEvent(timeout(t), &runtimev1.PublishEventRequest{PubsubName: "events", Topic: topic, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublishEventErrors(t *testing.T) {
	client, cc := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	for _, tt := range []struct {
		req    *runtimev1.PublishEventRequest
		code   codes.Code
		text   string
		reason string
	}{
		{&runtimev1.PublishEventRequest{}, codes.InvalidArgument, "pubsub name is empty", "INVALID_ARGUMENT"},
		{&runtimev1.PublishEventRequest{PubsubName: "x"}, codes.InvalidArgument, "topic is empty in pubsub x", "INVALID_ARGUMENT"},
		{&runtimev1.PublishEventRequest{PubsubName: "x", Topic: "t"}, codes.InvalidArgument, "pubsub x not found", "UNKNOWN_COMPONENT"},
		{
			&runtimev1.PublishEventRequest{PubsubName: "events", Topic: "t", DataContentType: "application/cloudevents+json", Data: []byte("{")},
			codes.InvalidArgument, "bad CloudEvent: the data are no JSON object: unexpected end of JSON input", "INVALID_ARGUMENT",
		},
		{
			&runtimev1.PublishEventRequest{PubsubName: "events", Topic: "t", DataContentType: "application/cloudevents+json", Data: []byte("[]")},
			codes.InvalidArgument, "bad CloudEvent: the data are a JSON array, not a JSON object", "INVALID_ARGUMENT",
		},
	} {
		_, err := client.PublishEvent(timeout(t), tt.req)
		wantStatus(t, err, tt.code, tt.text, tt.reason)
	}
	none, _ := serve(t, layotto.Config{})
	_, err := none.PublishEvent(timeout(t), &runtimev1.PublishEventRequest{PubsubName: "x", Topic: "t"})
	wantStatus(t, err, codes.InvalidArgument, "pubsub x not found", "NOT_CONFIGURED")

	delay := delayqueuev1.NewDelayQueueClient(cc)
	for name, text := range map[string]string{
		"x": "component not found. kind: delay_queue , name: x", "plain": "component not found. kind: delay_queue , name: plain",
		"": "pubsub name is empty",
	} {
		_, err := delay.PublishDelayMessage(timeout(t), &delayqueuev1.DelayMessageRequest{ComponentName: name, Topic: "t"})
		if s := status.Convert(err); s.Code() != codes.InvalidArgument || s.Message() != text {
			t.Errorf("delay by %q: %v, want %q", name, err, text)
		}
	}
	_, err = delay.PublishDelayMessage(timeout(t), &delayqueuev1.DelayMessageRequest{ComponentName: "events", Topic: "t", DelayInSeconds: -1})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a negative delay: %v", err)
	}
}

// What a broker fails with is told in Layotto's words.
func TestPublishFailure(t *testing.T) {
	b, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"events": b}})
	client, cc := serve(t, layotto.Config{PubSub: p})
	_, err = client.PublishEvent(timeout(t), &runtimev1.PublishEventRequest{PubsubName: "events", Topic: "t"})
	wantStatus(t, err, codes.Internal, "error when publish to topic t in pubsub events: broker is closed", "INTERNAL")
	_, err = delayqueuev1.NewDelayQueueClient(cc).PublishDelayMessage(timeout(t), &delayqueuev1.DelayMessageRequest{ComponentName: "events", Topic: "t", DelayInSeconds: 1})
	wantStatus(t, err, codes.Internal, "error when publish to topic t in pubsub events: broker is closed", "INTERNAL")
	_, err = subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"})
	wantStatus(t, err, codes.Unknown, "broker is closed", "INTERNAL")
}

type topicEvents = runtimev1.Runtime_SubscribeTopicEventsClient

// subscribeStream opens a stream and waits until it is subscribed.
func subscribeStream(t testing.TB, client runtimev1.RuntimeClient, initial *runtimev1.SubscribeTopicEventsRequestInitial) (topicEvents, error) {
	t.Helper()
	stream, err := client.SubscribeTopicEvents(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{
		SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{InitialRequest: initial},
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err == nil && first.GetInitialResponse() == nil {
		t.Fatalf("the first message is %v", first)
	}
	return stream, err
}

func mustSubscribe(t testing.TB, client runtimev1.RuntimeClient, topic string, metadata map[string]string) topicEvents {
	t.Helper()
	stream, err := subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: topic, Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func nextEvent(t testing.TB, stream topicEvents) *runtimev1.TopicEventRequest {
	t.Helper()
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetEventMessage() == nil {
		t.Fatalf("%v is no event", resp)
	}
	return resp.GetEventMessage()
}

func process(t testing.TB, stream topicEvents, id string, s runtimev1.TopicEventResponse_TopicEventResponseStatus) {
	t.Helper()
	err := stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_EventProcessed{
		EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessed{Id: id, Status: &runtimev1.TopicEventResponse{Status: s}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// finish half-closes the stream, which must end it without an error.
func finish(t testing.TB, stream topicEvents) {
	t.Helper()
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("a clean half-close: %v", err)
			}
			return
		}
	}
}

func TestStreamErrors(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	for _, tt := range []struct {
		initial *runtimev1.SubscribeTopicEventsRequestInitial
		text    string
	}{
		{&runtimev1.SubscribeTopicEventsRequestInitial{}, "pubsub name is empty"},
		{&runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events"}, "topic is empty in pubsub events"},
		{&runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "x", Topic: "t"}, "pubsub x is not initialized."},
	} {
		_, err := subscribeStream(t, client, tt.initial)
		if s := status.Convert(err); s.Code() != codes.Unknown || s.Message() != tt.text {
			t.Errorf("%v: %v, want UNKNOWN %q", tt.initial, err, tt.text)
		}
	}
	stream, err := client.SubscribeTopicEvents(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	process(t, stream, "1", runtimev1.TopicEventResponse_SUCCESS)
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unknown, "initial request is required", "")

	stream = mustSubscribe(t, client, "t", nil)
	_, err = subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"})
	wantStatus(t, err, codes.Unknown, `already subscribed to pubsub "events" topic "t"`, "EXISTS")
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "duplicate initial request received") && !strings.Contains(err.Error(), "neither") {
		t.Errorf("a second initial request: %v", err)
	}
	stream = mustSubscribe(t, client, "t", nil) // the topic is free again
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{
		InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unknown, "duplicate initial request received", "")
}

func TestStream(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	stream := mustSubscribe(t, client, "t", nil)
	call := metadata.AppendToOutgoingContext(timeout(t), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, err := client.PublishEvent(call, &runtimev1.PublishEventRequest{
		PubsubName: "events", Topic: "t", Data: []byte(`{"n":12345678901234567890}`), DataContentType: "application/json", Metadata: map[string]string{"key": "k"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := nextEvent(t, stream)
	if string(e.GetData()) != `{"n":12345678901234567890}` || e.GetDataContentType() != "application/json" || e.GetSource() != "runtime" ||
		e.GetType() != "com.runtime.event.sent" || e.GetSpecVersion() != "1.0" || e.GetTopic() != "t" || e.GetPubsubName() != "events" || e.GetId() == "" ||
		e.GetMetadata()["key"] != "k" || !strings.HasPrefix(e.GetMetadata()["traceparent"], "00-0af") {
		t.Errorf("event %v", e)
	}
	process(t, stream, "an id that nobody has", runtimev1.TopicEventResponse_SUCCESS)
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_RETRY)
	again := nextEvent(t, stream)
	if again.GetId() != e.GetId() {
		t.Errorf("after RETRY came %v", again)
	}
	process(t, stream, e.GetId(), 77)
	if again = nextEvent(t, stream); again.GetId() != e.GetId() {
		t.Errorf("after an unknown verdict came %v", again)
	}
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS) // twice is no harm

	publish(t, client, "t", "dropped")
	e = nextEvent(t, stream)
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_DROP)
	publish(t, client, "t", "last")
	if e = nextEvent(t, stream); string(e.GetData()) != "last" {
		t.Errorf("after DROP came %v", e)
	}
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	finish(t, stream)
}

// What was not answered when a stream ended, however it ended, comes to the next.
func TestStreamEnds(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	stream := mustSubscribe(t, client, "t", nil)
	publish(t, client, "t", "unanswered")
	first := nextEvent(t, stream)
	finish(t, stream)

	ctx, cancel := context.WithCancel(timeout(t))
	stream, err := client.SubscribeTopicEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{
		InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if e := nextEvent(t, stream); e.GetId() != first.GetId() {
		t.Errorf("got %v, want the unanswered one", e)
	}
	cancel()
	// The server learns of that a little later.
	for tries := 0; ; tries++ {
		stream, err = subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"})
		if err == nil {
			break
		}
		if tries > 1000 || !strings.Contains(err.Error(), "already subscribed") {
			t.Fatal(err)
		}
	}
	e := nextEvent(t, stream)
	if e.GetId() != first.GetId() {
		t.Errorf("got %v, want the unanswered one", e)
	}
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	finish(t, stream)
}

// A client that does not answer gets the event again; too often, and it is a dead
// letter.
func TestStreamAckTimeoutAndDeadLetters(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	letters := mustSubscribe(t, client, "dead", nil)
	dead := "dead"
	stream, err := subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{
		PubsubName: "events", Topic: "t", DeadLetterTopic: &dead, Metadata: map[string]string{"deliveryTimeout": "30ms", "maxRedeliveries": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, client, "t", "ignored")
	one, two := nextEvent(t, stream), nextEvent(t, stream)
	if one.GetId() != two.GetId() {
		t.Errorf("got %v and %v, want the same twice", one, two)
	}
	letter := nextEvent(t, letters)
	if letter.GetId() != one.GetId() || string(letter.GetData()) != "ignored" || letter.GetMetadata()["deadLetterFromTopic"] != "t" {
		t.Errorf("dead letter %v", letter)
	}
	process(t, letters, letter.GetId(), runtimev1.TopicEventResponse_SUCCESS)
}

// A client that does not read holds up its own events only.
func TestStreamBackPressure(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	mustSubscribe(t, client, "slow", nil)
	fast := mustSubscribe(t, client, "fast", nil)
	for range 50 {
		publish(t, client, "slow", strings.Repeat("x", 100_000))
	}
	for i := range 50 {
		publish(t, client, "fast", fmt.Sprint(i))
		process(t, fast, nextEvent(t, fast).GetId(), runtimev1.TopicEventResponse_SUCCESS)
	}
}

// The end of the runtime ends streams, with a code that says to come again.
func TestStreamStops(t *testing.T) {
	p := newEvents(t, nil)
	client, _ := serve(t, layotto.Config{PubSub: p})
	stream := mustSubscribe(t, client, "t", nil)
	publish(t, client, "t", "in the last moment")
	e := nextEvent(t, stream)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.Stop()
	}()
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
	<-stopped
	_, err := subscribeStream(t, client, &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "events", Topic: "t"})
	wantStatus(t, err, codes.Unavailable, "the runtime is stopping", "UNAVAILABLE")
}

func TestRawAndMalformed(t *testing.T) {
	client, _ := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	publishRaw := func(topic, data string) {
		t.Helper()
		_, err := client.PublishEvent(timeout(t), &runtimev1.PublishEventRequest{
			PubsubName: "events", Topic: topic, Data: []byte(data), DataContentType: "text/csv", Metadata: map[string]string{"rawPayload": "true"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	raw := mustSubscribe(t, client, "raw", map[string]string{"rawPayload": "true"})
	publishRaw("raw", "a,b")
	if e := nextEvent(t, raw); string(e.GetData()) != "a,b" || e.GetDataContentType() != "text/csv" || e.GetId() == "" {
		t.Errorf("raw: %v", e)
	}
	events := mustSubscribe(t, client, "t", nil)
	for _, data := range []string{`{}`, `[]`, `null`, `{"id":1,"source":{},"data":"x"}`, "\xff", "", `{"data_base64":5}`, `{"specversion":"1.0"}`} {
		publishRaw("t", data)
		e := nextEvent(t, events)
		if e.GetId() == "" || e.GetSpecVersion() == "" {
			t.Errorf("%q: %v", data, e)
		}
		process(t, events, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	}
}

func TestDelayMessage(t *testing.T) {
	client, cc := serve(t, layotto.Config{PubSub: newEvents(t, nil)})
	testserver.OnceOf(t, func(try int) error {
		topic, seconds := fmt.Sprint("t", try), int32(1)<<try
		stream := mustSubscribe(t, client, topic, nil)
		start := time.Now()
		resp, err := delayqueuev1.NewDelayQueueClient(cc).PublishDelayMessage(timeout(t), &delayqueuev1.DelayMessageRequest{
			ComponentName: "events", Topic: topic, Data: []byte(`{"a":1}`), DataContentType: "application/json", DelayInSeconds: seconds,
		})
		if err != nil || resp.GetMessageId() == "" {
			t.Fatalf("%v, %v", resp, err)
		}
		publish(t, client, topic, "before")
		e := nextEvent(t, stream)
		if string(e.GetData()) != "before" { // as when the machine stands still for so long
			return fmt.Errorf("first came %v", e)
		}
		e = nextEvent(t, stream)
		if d := time.Since(start); d < time.Duration(seconds)*time.Second-50*time.Millisecond || !json.Valid(e.GetData()) || e.GetDataContentType() != "application/json" {
			t.Errorf("after %s came %v", d, e)
		}
		return nil
	})
}
