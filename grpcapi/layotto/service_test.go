package layotto_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
)

var _ grpcapi.Service = (*layotto.API)(nil)

// services returns all services of the API, with the number of their methods.
func services() map[string]int {
	return map[string]int{
		"spec.proto.runtime.v1.Runtime": 26, "spec.proto.runtime.v1.Lifecycle": 1,
		"spec.proto.extension.v1.s3.ObjectStorageService": 26, "spec.proto.extension.v1.cryption.CryptionService": 2,
		"spec.proto.extension.v1.delay_queue.DelayQueue": 1, "spec.proto.extension.v1.email.EmailService": 2,
		"spec.proto.extension.v1.phone.PhoneCallService": 1, "spec.proto.extension.v1.sms.SmsService": 1,
	}
}

// Every method of the API is written: it answers, whatever it answers to an empty
// request, and not in the words of the generated code.
func TestEveryMethod(t *testing.T) {
	_, cc := serve(t, layotto.Config{})
	for name, want := range services() {
		desc, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatal(err)
		}
		methods := desc.(protoreflect.ServiceDescriptor).Methods()
		if methods.Len() != want {
			t.Errorf("%s has %d methods, want %d", name, methods.Len(), want)
		}
		for i := range methods.Len() {
			m := methods.Get(i)
			full := "/" + name + "/" + string(m.Name())
			t.Run(full, func(t *testing.T) {
				err := call(timeout(t), cc, full, m)
				if status.Code(err) == codes.Unimplemented {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// call calls a method of any kind with an empty request.
func call(ctx context.Context, cc *grpc.ClientConn, full string, m protoreflect.MethodDescriptor) error {
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{
		ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
	}, full)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(dynamicpb.NewMessage(m.Input())) // RecvMsg has the reason if it fails
	_ = stream.CloseSend()
	return stream.RecvMsg(dynamicpb.NewMessage(m.Output()))
}
