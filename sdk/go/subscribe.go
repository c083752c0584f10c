package ottavo

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Subscription holds the options of Subscribe. The zero value is the usual one.
type Subscription struct {
	// Concurrency is how many events are handled at a time, if the broker delivers
	// that many. 0 is 1: one after another, in the order in which they come.
	Concurrency int
	// DeadLetterTopic gets the events that were dropped, or came too often.
	DeadLetterTopic string
	// Metadata goes to the broker, which knows the keys.
	Metadata map[string]string
	// Stands, when not nil, is called each time the subscription stands: at first,
	// and after the connection was lost.
	Stands func()
	// Lost, when not nil, is told why the subscription does not stand at the
	// moment; it is tried again.
	Lost func(error)
}

// Subscribe has the events of a topic handled until ctx ends; the application
// needs no server for it. When ctx ends it waits for the handlers, whose context
// ends then, and tells the broker what became of their events; what was not handled
// comes to the next subscriber. The end of ctx is no error.
//
// The first connection must succeed; later ones are made again, with pauses, when they
// are lost. At most one Subscription may be given.
func (p *PubSub) Subscribe(ctx context.Context, topic string, handle Handler, options ...Subscription) error {
	s := &subscriber{
		api: p.api, handle: handle, options: first(options),
		initial: &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: p.name, Topic: topic, Metadata: first(options).Metadata},
	}
	if dead := s.options.DeadLetterTopic; dead != "" {
		s.initial.DeadLetterTopic = &dead
	}
	var pause backoff
	for stood := false; ; {
		s.stands = false
		err := s.run(ctx)
		switch {
		case over(ctx):
			return nil
		case s.stands:
			stood = true
			pause.reset()
		case !stood, !again(err):
			return failed("SubscribeTopicEvents", err)
		}
		if s.options.Lost != nil {
			s.options.Lost(failed("SubscribeTopicEvents", err))
		}
		pause.wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// again reports whether a subscription that stood before may stand again. Unknown
// is what the runtime says while it has not noticed the end of the old stream yet.
func again(err error) bool { return lost(err) || status.Code(err) == codes.Unknown }

// subscriber is the state of one Subscribe.
type subscriber struct {
	api     runtimev1.RuntimeClient
	handle  Handler
	options Subscription
	initial *runtimev1.SubscribeTopicEventsRequestInitial
	stands  bool // in this connection
}

type topicEvents = runtimev1.Runtime_SubscribeTopicEventsClient

// run handles the events of one stream until it, or ctx, ends.
func (s *subscriber) run(ctx context.Context) error {
	// The stream outlives ctx for the last answers.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	early := context.AfterFunc(ctx, cancel) // until it stands there is nothing to finish
	stream, err := s.api.SubscribeTopicEvents(streamCtx)
	if err != nil {
		return err
	}
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{
		SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{InitialRequest: s.initial},
	})
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: Recv tells why
		return err
	}
	resp, err := stream.Recv()
	switch {
	case err != nil:
		return ended(err)
	case resp.GetInitialResponse() == nil:
		return status.Error(codes.Internal, "the runtime's first answer is not the one that was expected")
	case !early():
		return ctx.Err()
	}
	s.stands = true
	if s.options.Stands != nil {
		s.options.Stands()
	}

	events := make(chan *runtimev1.TopicEventRequest)
	broken := make(chan error, 1)
	go func() { broken <- receive(streamCtx, stream, events) }()

	var sending sync.Mutex
	var workers sync.WaitGroup
	handling, endHandling := context.WithCancel(ctx) // handlers end with the stream, too
	defer endHandling()
	for range max(1, s.options.Concurrency) {
		workers.Go(func() {
			for {
				select {
				case <-handling.Done():
					return
				case event := <-events:
					answer := verdict(s.handle(handling, newEvent(event)))
					sending.Lock()
					_ = stream.Send(processed(event.GetId(), answer)) // what is wrong with the stream shows in Recv
					sending.Unlock()
				}
			}
		})
	}
	select {
	case err = <-broken:
		endHandling()
		workers.Wait()
		return err
	case <-ctx.Done():
	}
	workers.Wait()
	// The runtime reads everything up to here, and ends the stream.
	_ = stream.CloseSend()
	defer time.AfterFunc(releaseTime, cancel).Stop()
	for {
		select {
		case <-events: // it comes again
		case err = <-broken:
			return err
		}
	}
}

// receive passes on events until the stream ends.
func receive(ctx context.Context, stream topicEvents, events chan<- *runtimev1.TopicEventRequest) error {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		event := resp.GetEventMessage()
		if event == nil {
			continue
		}
		select {
		case events <- event:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ended makes an error of the end that a runtime gives to a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, "the runtime has ended the stream")
	}
	return err
}

func processed(id string, answer *runtimev1.TopicEventResponse) *runtimev1.SubscribeTopicEventsRequest {
	return &runtimev1.SubscribeTopicEventsRequest{
		SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_EventProcessed{
			EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessed{Id: id, Status: answer},
		},
	}
}
