package layotto_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func invokeRequest() *runtimev1.InvokeServiceRequest {
	return &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "/hello", Data: &anypb.Any{TypeUrl: "ignored", Value: []byte("body")}, ContentType: "application/json",
		HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_PATCH, Querystring: "a=b"},
	}}
}

func TestInvokeService(t *testing.T) {
	var got *rpc.Request
	var deadline bool
	client, _ := serve(t, invokers(func(ctx context.Context, req *rpc.Request) (*rpc.Response, error) {
		got = req
		_, deadline = ctx.Deadline()
		return &rpc.Response{Status: 202, ContentType: "text/plain", Data: []byte("answer"), Header: []rpc.Pair{
			{Name: "X-Trace", Value: "t1"},
			{Name: "Set-Cookie", Value: "a=1"},
			{Name: "Set-Cookie", Value: "b=2"},
			{Name: "Empty", Value: ""},
			{Name: "Raw-Bin", Value: "\x00\xff"},
			// For the connection only, or gRPC's own:
			{Name: "Content-Length", Value: "6"},
			{Name: "Content-Type", Value: "text/plain"},
			{Name: "Connection", Value: "x"},
			{Name: "Transfer-Encoding", Value: "chunked"},
			{Name: "Grpc-Status", Value: "13"},
			{Name: "Grpc-Message", Value: "no"},
			{Name: "Trailer", Value: "x"},
			{Name: ":status", Value: "500"},
			{Name: "User-Agent", Value: "x"},
			// What gRPC cannot carry:
			{Name: "Bad Name", Value: "x"},
			{Name: "naïve", Value: "x"},
			{Name: "X-Umlaut", Value: "ü"},
			{Name: "X-Tab", Value: "a\tb"},
			{Name: "X-Large", Value: strings.Repeat("x", 8000)},
			{Name: "Last", Value: "z"},
		}}, nil
	}))
	ctx := metadata.AppendToOutgoingContext(timeout(t), "x-one", "1", "x-many", "a", "x-many", "b", "rpc_request_timeout", "250", "k-bin", "\x00")
	var header metadata.MD
	resp, err := client.InvokeService(ctx, invokeRequest(), grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}
	if string(resp.GetData().GetValue()) != "answer" || resp.GetData().GetTypeUrl() != "" || resp.GetContentType() != "text/plain" {
		t.Errorf("answer %v", resp)
	}
	if got.ID != "HelloService:1.0" || got.Method != "/hello" || got.Verb != "PATCH" || got.Query != "a=b" || got.ContentType != "application/json" ||
		string(got.Data) != "body" || got.Timeout != 250*time.Millisecond || got.OneWay || got.Target != "" || !deadline {
		t.Errorf("request %+v, deadline %v", got, deadline)
	}
	sent := map[string][]string{}
	for _, p := range got.Header {
		sent[p.Name] = append(sent[p.Name], p.Value)
	}
	if len(sent) != 2 || !slices.Equal(sent["x-one"], []string{"1"}) || !slices.Equal(sent["x-many"], []string{"a", "b"}) {
		t.Errorf("headers for the service %v", sent)
	}

	for name, want := range map[string][]string{
		"x-trace": {"t1"}, "set-cookie": {"a=1", "b=2"}, "empty": {""}, "raw-bin": {"\x00\xff"}, "last": {"z"},
		"content-type": {"application/grpc"}, "ottavo-headers-dropped": {"5"},
	} {
		if !slices.Equal(header[name], want) {
			t.Errorf("header metadata %s = %q, want %q", name, header[name], want)
		}
	}
	if len(header) != 7 {
		t.Errorf("header metadata %v", header)
	}
}

func TestInvokeServiceMinimal(t *testing.T) {
	var got *rpc.Request
	client, _ := serve(t, invokers(func(_ context.Context, req *rpc.Request) (*rpc.Response, error) {
		got = req
		return &rpc.Response{Status: 204}, nil
	}))
	resp, err := client.InvokeService(timeout(t), &runtimev1.InvokeServiceRequest{Id: "svc"})
	if err != nil || len(resp.GetData().GetValue()) != 0 || resp.GetContentType() != "" {
		t.Errorf("InvokeService = %v, %v", resp, err)
	}
	if got.Verb != "" || got.ContentType != "" || got.Method != "" || got.Timeout != 3*time.Second || len(got.Header) != 0 {
		t.Errorf("request %+v", got)
	}
}

func TestInvokeServiceErrors(t *testing.T) {
	var answer error
	client, _ := serve(t, invokers(func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, answer }))
	for _, tc := range []struct {
		err    error
		code   codes.Code
		text   string
		reason string
	}{
		{&rpc.Error{Code: rpc.Timeout, Msg: "no answer within 3s"}, codes.DeadlineExceeded, "no answer within 3s", "DEADLINE"},
		{&rpc.Error{Code: rpc.Unavailable, Msg: "dial", Err: errors.New("refused")}, codes.Unavailable, "dial: refused", "UNAVAILABLE"},
		{&rpc.Error{Code: rpc.Internal, Msg: "codec"}, codes.Internal, "codec", "INTERNAL"},
		{&rpc.Error{Code: rpc.InvalidCall, Msg: "bad method"}, codes.InvalidArgument, "bad method", "INVALID_ARGUMENT"},
		{&rpc.Error{Code: rpc.TooLarge, Msg: "too much"}, codes.ResourceExhausted, "too much", "TOO_LARGE"},
		{&rpc.Error{Code: rpc.Canceled, Msg: "gone"}, codes.Canceled, "gone", "CANCELED"},
		{errors.New("a callback refused"), codes.Unknown, "a callback refused", "UNKNOWN"},
		{errors.New("not \xff text"), codes.Unknown, "not \uFFFD text", "UNKNOWN"},
	} {
		answer = tc.err
		_, err := client.InvokeService(timeout(t), invokeRequest())
		wantStatus(t, err, tc.code, tc.text, tc.reason)
	}

	_, err := client.InvokeService(metadata.AppendToOutgoingContext(timeout(t), "rpc_request_timeout", "soon"), invokeRequest())
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `rpc_request_timeout "soon"`) {
		t.Errorf("malformed timeout: %v", err)
	}
	_, err = client.InvokeService(timeout(t), &runtimev1.InvokeServiceRequest{Message: &runtimev1.CommonInvokeRequest{
		HttpExtension: &runtimev1.HTTPExtension{Verb: 77},
	}})
	wantStatus(t, err, codes.InvalidArgument, "http_extension.verb 77 is unknown: use one of the API's verbs, or none", "INVALID_ARGUMENT")

	none, _ := serve(t, layotto.Config{})
	_, err = none.InvokeService(timeout(t), invokeRequest())
	wantStatus(t, err, codes.Unknown, "invoker not init", "NOT_CONFIGURED")
}

func TestInvokeServiceStatus(t *testing.T) {
	var answer *rpc.Response
	client, _ := serve(t, invokers(func(context.Context, *rpc.Request) (*rpc.Response, error) {
		return nil, &rpc.Error{Code: rpc.Status, Msg: "status", Response: answer}
	}))
	answer = &rpc.Response{Status: 404, ContentType: "text/plain", Data: []byte("nobody here"), Header: []rpc.Pair{
		{Name: "Retry-After", Value: "3"},
		{Name: "Via", Value: "a"},
		{Name: "via", Value: "b"},
		{Name: "Bytes", Value: "\xff"},
		{Name: "Large", Value: strings.Repeat("x", 3000)},
		{Name: "Last", Value: "z"},
	}}
	_, err := client.InvokeService(timeout(t), invokeRequest())
	info := wantStatus(t, err, codes.Unavailable, "http response code 404, body: nobody here", "CALLEE_STATUS")
	want := map[string]string{
		"capability": "rpc", "component": "mosn", "http.status": "404", "http.content_type": "text/plain",
		"http.header.retry-after": "3", "http.header.via": "a, b", "http.header.bytes": "\uFFFD", "http.header.last": "z",
	}
	for k, v := range want {
		if info.GetMetadata()[k] != v {
			t.Errorf("details[%s] = %q, want %q", k, info.GetMetadata()[k], v)
		}
	}
	if len(info.GetMetadata()) != len(want) {
		t.Errorf("details %v", info.GetMetadata())
	}

	// An answer of any size and kind fits into the trailers of a client with the
	// usual limit of 8 KiB.
	for name, char := range map[string]string{"ascii": "x", "utf-8": "世", "no text": "\xff"} {
		answer = &rpc.Response{Status: 500, Data: []byte(strings.Repeat(char, 1<<20))}
		for i := range 100 {
			answer.Header = append(answer.Header, rpc.Pair{Name: "h", Value: strings.Repeat("v", i)},
				rpc.Pair{Name: strings.Repeat("n", 1+i), Value: strings.Repeat("v", 50)})
		}
		_, cc := serve(t, invokers(func(context.Context, *rpc.Request) (*rpc.Response, error) {
			return nil, &rpc.Error{Code: rpc.Status, Msg: "status", Response: answer}
		}))
		small, err := grpc.NewClient(cc.Target(), grpc.WithTransportCredentials(insecureCreds()), grpc.WithMaxHeaderListSize(8<<10))
		if err != nil {
			t.Fatal(err)
		}
		_, err = runtimev1.NewRuntimeClient(small).InvokeService(timeout(t), invokeRequest())
		if s := status.Convert(err); s.Code() != codes.Unavailable || !strings.HasPrefix(s.Message(), "http response code 500, body: ") ||
			!strings.HasSuffix(s.Message(), "...") || len(s.Details()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		_ = small.Close()
	}
}

func TestInvokeServiceCanceled(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	client, _ := serve(t, invokers(func(ctx context.Context, _ *rpc.Request) (*rpc.Response, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}))
	ctx, cancel := context.WithCancel(timeout(t))
	go func() {
		<-began
		cancel()
	}()
	_, err := client.InvokeService(ctx, invokeRequest())
	if status.Code(err) != codes.Canceled {
		t.Errorf("%v, want CANCELED", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call's context ended with %v", err)
	}
}
