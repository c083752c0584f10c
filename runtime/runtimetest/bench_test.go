package runtimetest_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// BenchmarkInvoke is a call of InvokeService and back, client, runtime and
// service in one process: for profiles and allocations, not for comparison.
func BenchmarkInvoke(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		_ = fasthttp.Serve(l, func(ctx *fasthttp.RequestCtx) { ctx.SetBody(ctx.PostBody()) })
	}()
	rt := runtimetest.Start(b, fmt.Sprintf(file, l.Addr()))
	client := runtimev1.NewRuntimeClient(rt.Client(b))
	req := &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "/hello", Data: &anypb.Any{Value: []byte(strings.Repeat("x", 1024))}, HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST},
	}}
	for _, parallel := range []int{1, 64} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(max(1, parallel/2))
			run := func() {
				if _, err := client.InvokeService(b.Context(), req); err != nil {
					b.Error(err)
				}
			}
			if parallel == 1 {
				for b.Loop() {
					run()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					run()
				}
			})
		})
	}
}
