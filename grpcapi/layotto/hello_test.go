package layotto_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestSayHello(t *testing.T) {
	client, _ := serve(t, greeters(t))
	data := &anypb.Any{TypeUrl: "anything/at.all", Value: []byte("\x00\xff")}
	resp, err := client.SayHello(timeout(t), &runtimev1.SayHelloRequest{ServiceName: "demo", Name: "eva", Data: data})
	if err != nil || resp.GetHello() != "greeting, eva" || !proto.Equal(resp.GetData(), data) {
		t.Errorf("SayHello = %v, %v", resp, err)
	}
	_, err = client.SayHello(timeout(t), &runtimev1.SayHelloRequest{ServiceName: "other", Name: "eva"})
	info := wantStatus(t, err, codes.Unknown, "no instance found", "UNKNOWN_COMPONENT")
	if m := info.GetMetadata(); m["configured"] != "demo" || m["component"] != "other" || m["capability"] != "hello" {
		t.Errorf("details %v", info)
	}
	none, _ := serve(t, layotto.Config{})
	_, err = none.SayHello(timeout(t), &runtimev1.SayHelloRequest{ServiceName: "demo"})
	wantStatus(t, err, codes.Unknown, "no instance found", "NOT_CONFIGURED")
}
