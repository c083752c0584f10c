package layotto_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// The words are those of the implementations of gRPC.
func TestTooLargeTexts(t *testing.T) {
	const size = 5 << 20
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		err   error
		limit int64 // 0: not said; -1: it is something else
		sure  bool
	}{
		{"Go", t.Context(), status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5242880 vs. 4194304)"), 4194304, true},
		{"Go, compressed", t.Context(), status.Error(codes.ResourceExhausted, "grpc: received message after decompression larger than max 4194304"), 4194304, true},
		{"C", t.Context(), status.Error(codes.ResourceExhausted, "SERVER: Received message larger than max (5242880 vs. 4194304)"), 4194304, true},
		{"Node", t.Context(), status.Error(codes.ResourceExhausted, "Received message larger than max (5242880 vs 4194304)"), 4194304, true},
		{"Java", t.Context(), status.Error(codes.ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5242880"), 4194304, true},
		{"Rust", t.Context(), status.Error(codes.OutOfRange, "Error, decoded message length too large: found 5242880 bytes, the limit is: 4194304 bytes"), 4194304, true},
		{".NET", t.Context(), status.Error(codes.ResourceExhausted, "Received message exceeds the maximum configured message size."), 0, true},
		{"a reset", t.Context(), status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL"), 0, false},
		{"a reset as we gave up", over, status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL"), -1, false},
		{"the application's own", t.Context(), status.Error(codes.ResourceExhausted, "quota exceeded"), -1, false},
		{"the application's own, of its backlog", t.Context(), status.Error(codes.ResourceExhausted, "the backlog is larger than max"), -1, false},
		{"a call of the application's", t.Context(), status.Error(codes.ResourceExhausted, "grpc: received message larger than max (9000000 vs. 8000000)"), -1, false},
		{"another code", t.Context(), status.Error(codes.Internal, "larger than max"), -1, false},
		{"no status", t.Context(), errors.New("larger than max"), -1, false},
	} {
		big := layotto.TooLarge(tt.ctx, tt.err, size)
		if (big != nil) != (tt.limit >= 0) {
			t.Errorf("%s: %v", tt.name, big)
		} else if big != nil && (big.Size != size || big.Limit != tt.limit || big.Suspected == tt.sure || !errors.Is(big, tt.err)) {
			t.Errorf("%s: %+v", tt.name, big)
		}
	}
	if big := layotto.TooLarge(t.Context(), status.Error(codes.Canceled, "RST_STREAM"), 1<<20); big != nil {
		t.Errorf("a reset over what everybody takes: %v", big)
	}
}

// What the application's gRPC refuses for its size goes to the topic for dead letters;
// the application has not seen it, and gets what follows.
func TestCallbackTooLarge(t *testing.T) {
	a := newFakeApp(t)
	a.opts = []grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 10)}
	client := serveWithApp(t, a)
	letters := mustSubscribe(t, client, "dead", nil)
	a.start(topic("t", "deadLetterTopic", "dead"))
	a.until(client, "t")
	large := strings.Repeat("x", 100<<10)
	publish(t, client, "t", large)
	publish(t, client, "t", "after")
	a.want("after")
	letter := nextEvent(t, letters)
	if string(letter.GetData()) != large || !strings.Contains(letter.GetMetadata()["deadLetterReason"], "(65536)") {
		t.Errorf("the letter has %d bytes and says %v", len(letter.GetData()), letter.GetMetadata())
	}
	process(t, letters, letter.GetId(), runtimev1.TopicEventResponse_SUCCESS)
}

// A client that breaks its stream over an event that is larger than what clients take
// by default has it as a dead letter, and gets what follows with the next stream.
func TestStreamTooLarge(t *testing.T) {
	p := newEvents(t, nil)
	client, _ := serve(t, layotto.Config{PubSub: p})
	dead := "dead"
	initial := &runtimev1.SubscribeTopicEventsRequestInitial{
		PubsubName: "events", Topic: "t", DeadLetterTopic: &dead, Metadata: map[string]string{"maxRedeliveries": "0", "rawPayload": "true"},
	}
	letters := &letterBox{letters: make(chan *capability.Event, 10)}
	if _, err := p.Subscribe(t.Context(), capability.TopicSubscription{PubSub: "events", Topic: dead, Metadata: map[string]string{"rawPayload": "true"}}, letters); err != nil {
		t.Fatal(err)
	}
	stream, err := subscribeStream(t, client, initial)
	if err != nil {
		t.Fatal(err)
	}
	// The API would not take it from a client by default; the broker may have it from elsewhere.
	large := []byte(strings.Repeat("x", 4<<20+1))
	if err := p.Publish(t.Context(), capability.Publication{PubSub: "events", Topic: "t", Data: large, Metadata: map[string]string{"rawPayload": "true"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("the client took it: %v", err)
	}
	select {
	case letter := <-letters.letters:
		if len(letter.Data) != len(large) || !strings.Contains(letter.Metadata["deadLetterReason"], "went away") {
			t.Errorf("the letter has %d bytes and says %q", len(letter.Data), letter.Metadata["deadLetterReason"])
		}
	case <-timeout(t).Done():
		t.Fatal("no dead letter")
	}
	if err := p.Publish(t.Context(), capability.Publication{PubSub: "events", Topic: "t", Data: []byte("after"), Metadata: map[string]string{"rawPayload": "true"}}); err != nil {
		t.Fatal(err)
	}
	for tries := 0; ; tries++ { // the topic may not be free yet
		if stream, err = subscribeStream(t, client, initial); err == nil {
			break
		}
		if tries > 1000 || !strings.Contains(err.Error(), "already subscribed") {
			t.Fatal(err)
		}
	}
	e := nextEvent(t, stream)
	if string(e.GetData()) != "after" {
		t.Errorf("got %d bytes", len(e.GetData()))
	}
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	finish(t, stream)
}

// Of the events that a client had not answered when it broke its stream only the
// largest is to blame: the others come again, however few redeliveries there are.
func TestStreamTooLargeBlamesTheLargest(t *testing.T) {
	p := newEvents(t, nil)
	client, _ := serve(t, layotto.Config{PubSub: p})
	raw := map[string]string{"rawPayload": "true"}
	letters := &letterBox{letters: make(chan *capability.Event, 10)}
	if _, err := p.Subscribe(t.Context(), capability.TopicSubscription{PubSub: "events", Topic: "dead", Metadata: raw}, letters); err != nil {
		t.Fatal(err)
	}
	dead := "dead"
	ctx := timeout(t)
	subscribe := func() runtimev1.Runtime_SubscribeTopicEventsClient {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for { // the topic may not be free yet
			stream, err := client.SubscribeTopicEvents(ctx, grpc.MaxCallRecvMsgSize(6<<20))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{
				InitialRequest: &runtimev1.SubscribeTopicEventsRequestInitial{
					PubsubName: "events", Topic: "t", DeadLetterTopic: &dead, Metadata: map[string]string{"maxRedeliveries": "0", "rawPayload": "true"},
				},
			}}); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); err == nil {
				return stream
			}
			<-tick.C
			if !strings.Contains(err.Error(), "already subscribed") {
				t.Fatal(err)
			}
		}
	}
	stream := subscribe()
	for _, size := range []int{5 << 20, 7 << 20} {
		data := []byte(strings.Repeat("x", size))
		if err := p.Publish(t.Context(), capability.Publication{PubSub: "events", Topic: "t", Data: data, Metadata: raw}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if size < 6<<20 && (err != nil || len(resp.GetEventMessage().GetData()) != size) {
			t.Fatalf("the first one: %v", err)
		} else if size > 6<<20 && status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("the client took the second one: %v", err)
		}
	}
	stream = subscribe()
	e := nextEvent(t, stream)
	if len(e.GetData()) != 5<<20 {
		t.Errorf("got %d bytes", len(e.GetData()))
	}
	process(t, stream, e.GetId(), runtimev1.TopicEventResponse_SUCCESS)
	finish(t, stream)
	select {
	case letter := <-letters.letters:
		if len(letter.Data) != 7<<20 {
			t.Errorf("the letter has %d bytes", len(letter.Data))
		}
	case <-ctx.Done():
		t.Fatal("no dead letter")
	}
	if n := len(letters.letters); n != 0 {
		t.Errorf("%d more letters", n)
	}
}

// letterBox takes dead letters.
type letterBox struct{ letters chan *capability.Event }

func (l *letterBox) Ready(context.Context) error { return nil }

func (l *letterBox) Deliver(_ context.Context, e *capability.Event) (capability.Verdict, error) {
	l.letters <- e
	return capability.Success, nil
}
