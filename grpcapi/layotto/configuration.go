package layotto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

const (
	// deletedKey is the key of an item's metadata that says, with "true", that the
	// item is gone. Its content is empty then, all that Layotto's messages have.
	deletedKey = "deleted"

	// maxSubscriptions is how many subscriptions one stream may have.
	maxSubscriptions = 1000

	// maxPart is how many bytes of items are put into one message, unless one item
	// alone has more: most clients take no message above 4 MiB.
	maxPart = 1 << 20

	// sendGrace is how long a message may take that is being sent when the stream
	// ends.
	sendGrace = time.Second
)

// GetConfiguration reads items. subscribe_update is not looked at, as in Layotto:
// an answer to one call has no way to bring changes.
func (r *runtimeServer) GetConfiguration(ctx context.Context, req *runtimev1.GetConfigurationRequest) (*runtimev1.GetConfigurationResponse, error) {
	items, err := r.Configuration.Get(ctx, req.GetStoreName(), configuration.Scope{
		AppID: req.GetAppId(), Group: req.GetGroup(), Label: req.GetLabel(), Metadata: req.GetMetadata(),
	}, req.GetKeys())
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimev1.GetConfigurationResponse{Items: fromItems(items)}, nil
}

// SaveConfiguration stores items.
func (r *runtimeServer) SaveConfiguration(ctx context.Context, req *runtimev1.SaveConfigurationRequest) (*emptypb.Empty, error) {
	items := make([]configuration.Item, len(req.GetItems()))
	for i, item := range req.GetItems() {
		items[i] = configuration.Item{
			Key: item.GetKey(), Content: item.GetContent(), Group: item.GetGroup(), Label: item.GetLabel(),
			Tags: item.GetTags(), Metadata: item.GetMetadata(),
		}
	}
	return empty(r.Configuration.Save(ctx, req.GetStoreName(), req.GetAppId(), items, req.GetMetadata()))
}

// DeleteConfiguration removes items.
func (r *runtimeServer) DeleteConfiguration(ctx context.Context, req *runtimev1.DeleteConfigurationRequest) (*emptypb.Empty, error) {
	return empty(r.Configuration.Delete(ctx, req.GetStoreName(), configuration.Scope{
		AppID: req.GetAppId(), Group: req.GetGroup(), Label: req.GetLabel(), Metadata: req.GetMetadata(),
	}, req.GetKeys()))
}

// SubscribeConfiguration tells of items and of what becomes of them: every message
// from the client adds a subscription, which begins with the items that there are.
// The header is sent as soon as the first one stands. The stream ends with the
// client's half of it, without an error, or with the first error of a subscription;
// nothing of this touches another stream.
func (r *runtimeServer) SubscribeConfiguration(stream grpc.BidiStreamingServer[runtimev1.SubscribeConfigurationRequest, runtimev1.SubscribeConfigurationResponse]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	s := &subscriptions{server: r, stream: stream, end: cancel}
	// Recv knows no context; it ends when this method has returned.
	go s.receive(ctx)
	<-ctx.Done()
	s.wait()
	err := context.Cause(ctx)
	capability.Repanic(err)
	if errors.Is(err, io.EOF) {
		return toStatus(s.refusal())
	}
	if _, ok := status.FromError(err); ok { // gRPC's own, of sending or receiving
		return err
	}
	return toStatus(err)
}

// subscriptions are those of one stream.
type subscriptions struct {
	server *runtimeServer
	stream grpc.BidiStreamingServer[runtimev1.SubscribeConfigurationRequest, runtimev1.SubscribeConfigurationResponse]
	// end ends the stream, with io.EOF for no error.
	end func(error)

	// running are the subscriptions; adding holds that none begins after the end.
	adding  sync.Mutex
	running sync.WaitGroup

	refusing sync.Mutex
	refused  error // why the first subscription that names no store failed

	sending sync.Mutex // one message at a time
	header  sync.Once
}

// receive takes the client's messages until its end of the stream.
func (s *subscriptions) receive(ctx context.Context) {
	for n := 0; ; n++ {
		req, err := s.stream.Recv()
		if err == nil && n == maxSubscriptions {
			err = &capability.Error{
				Kind: capability.TooLarge, Capability: capability.ConfigurationName, Op: capability.ConfigurationWatch, Component: req.GetStoreName(),
				Msg: fmt.Sprintf("the stream has %d subscriptions, which is all that one may have: open another stream", maxSubscriptions),
			}
		}
		if err != nil {
			s.end(err)
			return
		}
		s.add(ctx, req)
	}
}

// add begins a subscription, unless the stream has ended.
func (s *subscriptions) add(ctx context.Context, req *runtimev1.SubscribeConfigurationRequest) {
	s.adding.Lock()
	defer s.adding.Unlock()
	if ctx.Err() != nil {
		return
	}
	s.running.Go(func() {
		err := capability.Guard(func() error { return s.watch(ctx, req) })
		if err != nil {
			s.refuse(err)
			s.end(err)
		}
	})
}

// watch is one subscription.
func (s *subscriptions) watch(ctx context.Context, req *runtimev1.SubscribeConfigurationRequest) error {
	return s.server.Configuration.Watch(ctx, req.GetStoreName(), configuration.Scope{
		AppID: req.GetAppId(), Group: req.GetGroup(), Label: req.GetLabel(), Metadata: req.GetMetadata(),
	}, req.GetKeys(), s.stands, func(appID string, items []configuration.Item) error {
		for part := range parts(fromItems(items)) {
			if err := s.send(&runtimev1.SubscribeConfigurationResponse{StoreName: req.GetStoreName(), AppId: appID, Items: part}); err != nil {
				return err
			}
		}
		return nil
	})
}

// refuse keeps an error that a client hears also when it has closed its half of
// the stream right after the message that was wrong.
func (s *subscriptions) refuse(err error) {
	if e, ok := capability.AsError(err); ok && (e.Kind == capability.NotConfigured || e.Kind == capability.UnknownComponent) {
		s.refusing.Lock()
		defer s.refusing.Unlock()
		if s.refused == nil {
			s.refused = err
		}
	}
}

// refusal returns it; it is for after wait.
func (s *subscriptions) refusal() error {
	s.refusing.Lock()
	defer s.refusing.Unlock()
	return s.refused
}

// wait returns when no subscription runs and none will begin, after the end. One
// that waits for its client to read is left after sendGrace: it ends with the
// stream, which is when the method returns.
func (s *subscriptions) wait() {
	s.adding.Lock()
	defer s.adding.Unlock()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(sendGrace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// stands tells the client that its first subscription stands.
func (s *subscriptions) stands() {
	s.header.Do(func() {
		s.sending.Lock()
		defer s.sending.Unlock()
		_ = s.stream.SendHeader(nil) // sent already, or the stream has ended, which others see
	})
}

func (s *subscriptions) send(resp *runtimev1.SubscribeConfigurationResponse) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.stream.Send(resp)
}

// parts divides items into messages.
func parts(items []*runtimev1.ConfigurationItem) iter.Seq[[]*runtimev1.ConfigurationItem] {
	return func(yield func([]*runtimev1.ConfigurationItem) bool) {
		begin, size := 0, 0
		for i, item := range items {
			n := proto.Size(item)
			if size += n; size > maxPart && i > begin {
				if !yield(items[begin:i]) {
					return
				}
				begin, size = i, n
			}
		}
		if begin < len(items) {
			yield(items[begin:])
		}
	}
}

func fromItems(items []configuration.Item) []*runtimev1.ConfigurationItem {
	out := make([]*runtimev1.ConfigurationItem, len(items))
	for i, item := range items {
		out[i] = &runtimev1.ConfigurationItem{
			Key: valid(item.Key), Content: valid(item.Content), Group: valid(item.Group), Label: valid(item.Label),
			Tags: validMap(item.Tags), Metadata: validMap(item.Metadata),
		}
		if item.Deleted {
			metadata := maps.Clone(out[i].Metadata)
			if metadata == nil {
				metadata = make(map[string]string, 1)
			}
			metadata[deletedKey] = "true"
			out[i].Content, out[i].Metadata = "", metadata
		}
	}
	return out
}

// validMap makes texts fit for a protobuf map; m itself when they are.
func validMap(m map[string]string) map[string]string {
	for k, v := range m {
		if valid(k) != k || valid(v) != v {
			out := make(map[string]string, len(m))
			for k, v := range m {
				out[valid(k)] = valid(v)
			}
			return out
		}
	}
	return m
}
