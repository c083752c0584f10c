package ottavo_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// fake is a runtime on a real socket that shows what came over the wire and
// answers what the test says.
type fake struct {
	runtimev1.UnimplementedRuntimeServer
	got    proto.Message // the last request
	header metadata.MD   // and its metadata
	answer proto.Message
	err    error
	send   metadata.MD // header metadata of the answer
	hang   bool        // answer when the call has ended
	fail   int         // how many calls more are answered with Unavailable
	calls  int

	events   []string      // what SubscribeTopicEvents delivers
	answered chan struct{} // closed when all of them were answered
}

// serve starts a fake and a client of it; both end with the test. The fields of
// the fake may be read and changed between calls.
func serve(t *testing.T, opts ...grpc.DialOption) (*fake, *ottavo.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{answered: make(chan struct{})}
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, f)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	client, err := ottavo.Dial(l.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f, client
}

func (f *fake) call(ctx context.Context, req proto.Message) (proto.Message, error) {
	f.got = req
	f.calls++
	if f.fail > 0 {
		f.fail--
		return nil, status.Error(codes.Unavailable, "not now")
	}
	f.header, _ = metadata.FromIncomingContext(ctx)
	if f.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := grpc.SetHeader(ctx, f.send); err != nil {
		return nil, err
	}
	return f.answer, f.err
}

// reply is the fake's answer as the type that a method has.
func reply[T proto.Message](m proto.Message, err error) (T, error) {
	answer, ok := m.(T)
	if !ok {
		var zero T
		answer, _ = zero.ProtoReflect().New().Interface().(T)
	}
	return answer, err
}

func (f *fake) SayHello(ctx context.Context, r *runtimev1.SayHelloRequest) (*runtimev1.SayHelloResponse, error) {
	return reply[*runtimev1.SayHelloResponse](f.call(ctx, r))
}

func (f *fake) InvokeService(ctx context.Context, r *runtimev1.InvokeServiceRequest) (*runtimev1.InvokeResponse, error) {
	return reply[*runtimev1.InvokeResponse](f.call(ctx, r))
}

func (f *fake) GetState(ctx context.Context, r *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	return reply[*runtimev1.GetStateResponse](f.call(ctx, r))
}

func (f *fake) GetBulkState(ctx context.Context, r *runtimev1.GetBulkStateRequest) (*runtimev1.GetBulkStateResponse, error) {
	return reply[*runtimev1.GetBulkStateResponse](f.call(ctx, r))
}

func (f *fake) SaveState(ctx context.Context, r *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	return reply[*emptypb.Empty](f.call(ctx, r))
}

func (f *fake) DeleteState(ctx context.Context, r *runtimev1.DeleteStateRequest) (*emptypb.Empty, error) {
	return reply[*emptypb.Empty](f.call(ctx, r))
}

func (f *fake) DeleteBulkState(ctx context.Context, r *runtimev1.DeleteBulkStateRequest) (*emptypb.Empty, error) {
	return reply[*emptypb.Empty](f.call(ctx, r))
}

func (f *fake) ExecuteStateTransaction(ctx context.Context, r *runtimev1.ExecuteStateTransactionRequest) (*emptypb.Empty, error) {
	return reply[*emptypb.Empty](f.call(ctx, r))
}

// wantSent fails the test unless that is what the last call sent.
func (f *fake) wantSent(t *testing.T, want proto.Message) {
	t.Helper()
	if !proto.Equal(f.got, want) {
		t.Errorf("sent %v\nwant %v", f.got, want)
	}
}

// timeout bounds a call of a test.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// detailed is an error as the runtime sends it.
func detailed(t *testing.T, code codes.Code, text, reason string, facts map[string]string) error {
	t.Helper()
	s, err := status.New(code, text).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "ottavo", Metadata: facts})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

// SubscribeTopicEvents sends the fake's events and waits for as many answers.
func (f *fake) SubscribeTopicEvents(stream runtimev1.Runtime_SubscribeTopicEventsServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(&runtimev1.SubscribeTopicEventsResponse{
		SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponse_InitialResponse{InitialResponse: &runtimev1.SubscribeTopicEventsResponseInitial{}},
	}); err != nil {
		return err
	}
	for _, data := range f.events {
		if err := stream.Send(&runtimev1.SubscribeTopicEventsResponse{
			SubscribeTopicEventsResponseType: &runtimev1.SubscribeTopicEventsResponse_EventMessage{EventMessage: &runtimev1.TopicEventRequest{Id: data, Data: []byte(data)}},
		}); err != nil {
			return err
		}
	}
	for range f.events {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
	close(f.answered)
	_, err := stream.Recv() // the client's end
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
