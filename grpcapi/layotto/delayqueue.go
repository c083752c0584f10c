package layotto

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
)

// delayQueueServer answers the methods of the service DelayQueue.
type delayQueueServer struct {
	delayqueuev1.UnimplementedDelayQueueServer
	pubsub *capability.PubSub
}

// PublishDelayMessage publishes a message that subscribers get later. It becomes
// an event as PublishEvent makes one.
func (d *delayQueueServer) PublishDelayMessage(ctx context.Context, req *delayqueuev1.DelayMessageRequest) (*delayqueuev1.DelayMessageResponse, error) {
	pub := publication(ctx, req.GetComponentName(), req.GetTopic(), req.GetData(), req.GetDataContentType(), req.GetMetadata())
	id, err := d.pubsub.PublishDelayed(ctx, pub, time.Duration(req.GetDelayInSeconds())*time.Second)
	if err != nil {
		return nil, toStatus(err)
	}
	return &delayqueuev1.DelayMessageResponse{MessageId: id}, nil
}

// publication is what both ways to publish have in common.
func publication(ctx context.Context, pubSub, topic string, data []byte, contentType string, md map[string]string) capability.Publication {
	pub := capability.Publication{
		PubSub: pubSub, Topic: topic, Data: data, ContentType: contentType, Metadata: md,
		Envelope: capability.Envelope{
			Source: "runtime", Type: "com.runtime.event.sent",
			GivenSource: "Dapr", GivenType: "com.dapr.event.sent",
		},
	}
	if call, ok := metadata.FromIncomingContext(ctx); ok {
		pub.TraceParent, pub.TraceState = firstOf(call.Get("traceparent")), firstOf(call.Get("tracestate"))
	}
	return pub
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
