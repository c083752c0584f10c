package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// serviceID is the id that the calls of InvokeService carry and that routes match.
const serviceID = "HelloService:1.0"

// runInvoke compares InvokeService through the sidecar to an HTTP service with
// the two direct calls: gRPC (the client's side of it) and HTTP (the service's).
func runInvoke(ctx context.Context, b *bench) error {
	services, err := startServices(ctx, b.folder, roleHTTPService, roleGRPCService)
	if err != nil {
		return err
	}
	defer services.stop()
	addresses, err := b.freeAddresses(1)
	if err != nil {
		return err
	}
	egress := "egress_runtime_http"
	s := setup{
		runtime: object{"rpcs": object{"mosn": object{"config": object{
			"channel": []object{{"size": 256, "protocol": "http", "listener": egress}},
		}}}},
		listeners: []object{proxyListener(egress, addresses[0], "Http1")},
		routers:   []object{routerTo(egress, "http_server", object{"headers": []object{{"name": "id", "value": serviceID}}})},
		clusters:  []object{clusterOf("http_server", services.address[roleHTTPService])},
	}
	b.printf("invoke: %d bytes each way; the HTTP service and client are fasthttp, the gRPC ones grpc-go on one connection\n", b.body)
	return b.compare(ctx, "invoke", b.starts, s, func(side *sidecar) []way {
		return []way{
			{name: "sidecar", key: "sidecar", order: b.order("grpc", side.api), through: true, against: []string{"grpc", "http"}},
			{name: "direct gRPC", key: "grpc", order: b.order("grpc", services.address[roleGRPCService])},
			{name: "direct HTTP", key: "http", order: b.order("http", services.address[roleHTTPService])},
		}
	})
}

// grpcService answers InvokeService like httpService does, so that the direct
// gRPC call carries the same messages as the one through the sidecar. The state
// that it is asked for is always the same.
func grpcService() serveFunc {
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, &echo{})
	return server.Serve
}

type echo struct {
	runtimev1.UnimplementedRuntimeServer
	kept keeper
}

func (*echo) InvokeService(_ context.Context, in *runtimev1.InvokeServiceRequest) (*runtimev1.InvokeResponse, error) {
	return &runtimev1.InvokeResponse{Data: in.GetMessage().GetData(), ContentType: in.GetMessage().GetContentType()}, nil
}

// invokeClient calls InvokeService over one connection shared by all workers,
// as SDKs have it.
func invokeClient(_ context.Context, order clientOrder) (newCallFunc, func(), error) {
	conn, err := grpc.NewClient(order.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	client := runtimev1.NewRuntimeClient(conn)
	body := filled(order.Body)
	newCall := func() func(context.Context) error {
		request := &runtimev1.InvokeServiceRequest{
			Id: serviceID,
			Message: &runtimev1.CommonInvokeRequest{
				Method:        "/echo",
				ContentType:   "application/octet-stream",
				Data:          &anypb.Any{Value: body},
				HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST},
			},
		}
		return func(ctx context.Context) error {
			response, err := client.InvokeService(ctx, request)
			if err != nil {
				return err
			}
			return checkLength(len(response.GetData().GetValue()), order.Answer)
		}
	}
	return newCall, func() { _ = conn.Close() }, nil
}
