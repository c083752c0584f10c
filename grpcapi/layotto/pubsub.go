package layotto

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// PublishEvent publishes one event.
func (r *runtimeServer) PublishEvent(ctx context.Context, req *runtimev1.PublishEventRequest) (*emptypb.Empty, error) {
	return empty(r.PubSub.Publish(ctx, publication(ctx, req.GetPubsubName(), req.GetTopic(), req.GetData(), req.GetDataContentType(), req.GetMetadata())))
}

// SubscribeTopicEvents delivers the events of a topic on a stream, until the
// client closes its side.
func (r *runtimeServer) SubscribeTopicEvents(stream runtimev1.Runtime_SubscribeTopicEventsServer) error {
	req, err := stream.Recv()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Unknown, "initial request is required")
		}
		return err
	}
	initial := req.GetInitialRequest()
	if initial == nil {
		return status.Error(codes.Unknown, "initial request is required")
	}
	s := &topicStream{
		out: make(chan *topicDelivery), over: make(chan struct{}), waiting: make(map[string][]*topicDelivery),
	}
	defer s.end() // deliveries that wait for an answer fail, and come again
	// The client learns that it is subscribed before its first event: nothing is
	// taken from out earlier.
	sub, err := r.PubSub.Subscribe(stream.Context(), capability.TopicSubscription{
		PubSub: initial.GetPubsubName(), Topic: initial.GetTopic(), Metadata: initial.GetMetadata(), DeadLetterTopic: initial.GetDeadLetterTopic(),
	}, s)
	if err != nil {
		return toStatus(err)
	}
	defer func() {
		sub.End()
		s.end()
		<-sub.Done() // so that the topic is free when the client sees the end
	}()
	err = stream.Send(&runtimev1.SubscribeTopicEventsResponse{
		SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponse_InitialResponse{InitialResponse: &runtimev1.SubscribeTopicEventsResponseInitial{}},
	})
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- s.receive(stream) }() // ends with the stream, at the latest
	err = s.send(stream, sub, received)
	if err != nil {
		s.broke()
	}
	return err
}

// topicStream is the receiver of events at the other end of a stream.
type topicStream struct {
	out chan *topicDelivery

	once sync.Once
	over chan struct{} // closed when nothing can be delivered any more
	// suspect is the size of the largest event that had no answer when the stream broke,
	// in bytes; 0: it ended in another way. It is set before over is closed.
	suspect int

	mu sync.Mutex
	// waiting are the deliveries without an answer, by the event's id; an event
	// that is delivered twice waits twice.
	waiting map[string][]*topicDelivery
}

// topicDelivery is one of an event.
type topicDelivery struct {
	event   *runtimev1.TopicEventRequest
	verdict chan capability.Verdict // has room for the one that comes
	sent    bool                    // the client may have it; under the stream's mu
}

// broke notes which event may be to blame that the stream broke: if one was too large
// for the client it is the largest of those that were sent.
func (s *topicStream) broke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.waiting {
		for _, d := range list {
			if d.sent {
				s.suspect = max(s.suspect, proto.Size(d.event))
			}
		}
	}
}

func (s *topicStream) end() { s.once.Do(func() { close(s.over) }) }

// send writes events to the stream until it, or the subscription, has ended.
func (s *topicStream) send(stream runtimev1.Runtime_SubscribeTopicEventsServer, sub *capability.TopicStream, received <-chan error) error {
	for {
		select {
		case d := <-s.out:
			s.mu.Lock()
			d.sent = true
			s.mu.Unlock()
			err := stream.Send(&runtimev1.SubscribeTopicEventsResponse{
				SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponse_EventMessage{EventMessage: d.event},
			})
			if err != nil {
				return err
			}
		case err := <-received:
			return err
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-sub.Done():
			return status.Error(codes.Unavailable, "the subscription has ended: the runtime is stopping")
		}
	}
}

// receive takes the client's answers until it has no more, which is no error.
func (s *topicStream) receive(stream runtimev1.Runtime_SubscribeTopicEventsServer) error {
	for {
		req, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case req.GetInitialRequest() != nil:
			return status.Error(codes.Unknown, "duplicate initial request received")
		case req.GetEventProcessed() == nil:
			return status.Error(codes.Unknown, "the message is neither an initial request nor event_processed")
		}
		s.answer(req.GetEventProcessed().GetId(), toVerdict(req.GetEventProcessed().GetStatus().GetStatus()))
	}
}

// answer gives a verdict to the delivery that has waited longest for it; one that
// nobody waits for any more comes too late, and is ignored.
func (s *topicStream) answer(id string, v capability.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.waiting[id]
	if len(list) == 0 {
		return
	}
	list[0].verdict <- v
	s.leave(id, list[0])
}

// leave takes a delivery out; s.mu is held.
func (s *topicStream) leave(id string, d *topicDelivery) {
	list := s.waiting[id]
	for i, other := range list {
		if other == d {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(s.waiting, id)
		return
	}
	s.waiting[id] = list
}

// Ready implements capability.Target.
func (s *topicStream) Ready(context.Context) error { return nil }

// errStreamOver is what deliveries end with when their stream has.
var errStreamOver = errors.New("the subscription's stream has ended")

// Deliver implements capability.Target.
func (s *topicStream) Deliver(ctx context.Context, e *capability.Event) (capability.Verdict, error) {
	d := &topicDelivery{event: toTopicEvent(e), verdict: make(chan capability.Verdict, 1)}
	id := d.event.GetId()
	s.mu.Lock()
	s.waiting[id] = append(s.waiting[id], d)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leave(id, d)
	}()
	select {
	case s.out <- d:
	case <-s.over:
		return capability.Retry, errors.Join(capability.ErrUnreached, errStreamOver)
	case <-ctx.Done():
		return capability.Retry, errors.Join(capability.ErrUnreached, ctx.Err())
	}
	select {
	case v := <-d.verdict:
		return v, nil
	case <-s.over:
		select { // the answer may have come at the same moment
		case v := <-d.verdict:
			return v, nil
		default:
		}
		err := errors.Join(capability.ErrUnreached, errStreamOver)
		if size := proto.Size(d.event); size > usualLimit && s.suspect > 0 && size >= s.suspect {
			return capability.Retry, &capability.TooLargeError{Size: int64(size), Suspected: true, Err: err}
		}
		return capability.Retry, err
	case <-ctx.Done():
		return capability.Retry, ctx.Err()
	}
}
