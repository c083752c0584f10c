package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// appCallback is the application's side, as Layotto's users write it in Go.
type appCallback struct {
	runtimev1.UnimplementedAppCallbackServer
	events chan *runtimev1.TopicEventRequest
}

func (a *appCallback) ListTopicSubscriptions(context.Context, *emptypb.Empty) (*runtimev1.ListTopicSubscriptionsResponse, error) {
	return &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: []*runtimev1.TopicSubscription{{PubsubName: "pub_subs_demo", Topic: "go"}}}, nil
}

func (a *appCallback) OnTopicEvent(_ context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
	select {
	case a.events <- e:
	default:
	}
	return &runtimev1.TopicEventResponse{}, nil
}

// The requests that Layotto's client for Go makes, with generated code whose
// definition is Layotto's (spec/proto/contract_test.go): the module
// github.com/layotto/go-sdk cannot be had here. Its clients for Node and Java, which
// can, are in demo/layotto.
func TestLayottoGo(t *testing.T) {
	t.Setenv("OTTAVO_SECRET_password", "hunter2")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body) // an error is the client's
	}))
	defer service.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0") // kept for the application
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../../../configs/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"127.0.0.1:34904", "127.0.0.1:0", "127.0.0.1:34999", "127.0.0.1:0", "127.0.0.1:12221", "127.0.0.1:0",
		" .data/", " "+t.TempDir()+"/", "127.0.0.1:8889", service.Listener.Addr().String(),
		"grpc_callback_port: 9999", fmt.Sprintf("grpc_callback_port: %d", l.Addr().(*net.TCPAddr).Port),
	).Replace(string(file))
	rt := runtimetest.Start(t, config)
	conn := rt.Client(t)
	client := runtimev1.NewRuntimeClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, step := range []struct {
		name string
		run  func(context.Context, runtimev1.RuntimeClient) (string, error)
		want string
	}{
		{"hello", hello, "greeting, go"},
		{"state", state, "two, two, "},
		{"lock", lock, "true false SUCCESS"},
		{"sequencer", sequencer, "grows"},
		{"configuration", configuration, "hello"},
		{"secrets", secrets, "hunter2 1"},
		{"InvokeService", invoke, `{"name":"go"} application/json`},
	} {
		if got, err := step.run(ctx, client); err != nil || got != step.want {
			t.Errorf("%s: %q, %v, want %q\n%s", step.name, got, err, step.want, rt.Log)
		}
	}
	watchConfiguration(ctx, t, client)
	callbacks(ctx, t, client, l)
}

func hello(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	resp, err := client.SayHello(ctx, &runtimev1.SayHelloRequest{ServiceName: "helloworld", Name: "go"})
	return resp.GetHello(), err
}

func state(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	item := func(value string) *runtimev1.StateItem {
		return &runtimev1.StateItem{Key: "go-1", Value: []byte(value), Options: &runtimev1.StateOptions{
			// The defaults of that client.
			Concurrency: runtimev1.StateOptions_CONCURRENCY_LAST_WRITE, Consistency: runtimev1.StateOptions_CONSISTENCY_STRONG,
		}}
	}
	get := func() (string, error) {
		resp, err := client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "state_demo", Key: "go-1", Consistency: runtimev1.StateOptions_CONSISTENCY_STRONG})
		return string(resp.GetData()), err
	}
	var errs []error
	_, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "state_demo", States: []*runtimev1.StateItem{item("one")}})
	errs = append(errs, err)
	_, err = client.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{
		StoreName: "state_demo", Operations: []*runtimev1.TransactionalStateOperation{{OperationType: "upsert", Request: item("two")}},
	})
	errs = append(errs, err)
	one, err := get()
	errs = append(errs, err)
	bulk, err := client.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: "state_demo", Keys: []string{"go-1"}, Parallelism: 10})
	errs = append(errs, err)
	var two string
	for _, i := range bulk.GetItems() {
		two += string(i.GetData())
	}
	// That client sends no etag unless it is asked to.
	_, err = client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "state_demo", Key: "go-1"})
	errs = append(errs, err)
	three, err := get()
	return one + ", " + two + ", " + three, errors.Join(append(errs, err)...)
}

func lock(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	mine, err1 := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: "lock_demo", ResourceId: "go", LockOwner: "me", Expire: 10})
	yours, err2 := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: "lock_demo", ResourceId: "go", LockOwner: "you", Expire: 10})
	unlock, err3 := client.Unlock(ctx, &runtimev1.UnlockRequest{StoreName: "lock_demo", ResourceId: "go", LockOwner: "me"})
	return fmt.Sprint(mine.GetSuccess(), yours.GetSuccess(), unlock.GetStatus()), errors.Join(err1, err2, err3)
}

func sequencer(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	var ids []int64
	for _, options := range []*runtimev1.SequencerOptions{{Increment: runtimev1.SequencerOptions_STRONG}, {Increment: runtimev1.SequencerOptions_STRONG}, nil} {
		resp, err := client.GetNextId(ctx, &runtimev1.GetNextIdRequest{StoreName: "sequencer_demo", Key: "go", Options: options})
		if err != nil {
			return "", err
		}
		ids = append(ids, resp.GetNextId())
	}
	if !slices.IsSorted(ids) || ids[0] == ids[1] {
		return "does not grow", nil
	}
	return "grows", nil
}

func configuration(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	_, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{
		StoreName: "config_demo", AppId: "app1", Items: []*runtimev1.ConfigurationItem{{Key: "go-1", Content: "hello", Group: "application", Label: "prod"}},
	})
	if err != nil {
		return "", err
	}
	resp, err := client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{
		StoreName: "config_demo", AppId: "app1", Group: "application", Label: "prod", Keys: []string{"go-1"},
	})
	if err != nil || len(resp.GetItems()) != 1 {
		return fmt.Sprint(resp), err
	}
	return resp.GetItems()[0].GetContent(), nil
}

func secrets(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	one, err := client.GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: "secret_demo", Key: "password"})
	if err != nil {
		return "", err
	}
	all, err := client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: "secret_demo"})
	return fmt.Sprint(one.GetData()["password"], " ", len(all.GetData())), err
}

func invoke(ctx context.Context, client runtimev1.RuntimeClient) (string, error) {
	resp, err := client.InvokeService(ctx, &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
		Method: "/hello", ContentType: "application/json", Data: &anypb.Any{Value: []byte(`{"name":"go"}`)},
		HttpExtension: &runtimev1.HTTPExtension{Verb: runtimev1.HTTPExtension_POST},
	}})
	return string(resp.GetData().GetValue()) + " " + resp.GetContentType(), err
}

// watchConfiguration subscribes over a stream, to which changes come until the
// client closes its side.
func watchConfiguration(ctx context.Context, t *testing.T, client runtimev1.RuntimeClient) {
	t.Helper()
	stream, err := client.SubscribeConfiguration(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{
		StoreName: "config_demo", AppId: "app1", Group: "application", Label: "prod", Keys: []string{"go-1"},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{
		StoreName: "config_demo", AppId: "app1", Items: []*runtimev1.ConfigurationItem{{Key: "go-1", Content: "changed", Group: "application", Label: "prod"}},
	}); err != nil {
		t.Fatal(err)
	}
	for content := ""; content != "changed"; {
		resp, err := stream.Recv()
		if err != nil || len(resp.GetItems()) == 0 || resp.GetStoreName() != "config_demo" || resp.GetAppId() != "app1" {
			t.Fatalf("%v, %v", resp, err)
		}
		content = resp.GetItems()[0].GetContent()
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the client's end: %v, want the end", err)
	}
	if _, err := client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{
		StoreName: "config_demo", AppId: "app1", Group: "application", Label: "prod", Keys: []string{"go-1"},
	}); err != nil {
		t.Error(err)
	}
}

// callbacks gets an event on the application's port.
func callbacks(ctx context.Context, t *testing.T, client runtimev1.RuntimeClient, l net.Listener) {
	t.Helper()
	app := &appCallback{events: make(chan *runtimev1.TopicEventRequest, 1)}
	server := grpc.NewServer()
	runtimev1.RegisterAppCallbackServer(server, app)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// The runtime finds the application when it has begun to answer.
		_, err := client.PublishEvent(ctx, &runtimev1.PublishEventRequest{
			PubsubName: "pub_subs_demo", Topic: "go", Data: []byte(`{"apples":3}`), DataContentType: "application/json",
		})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-app.events:
			if string(e.GetData()) != `{"apples":3}` || e.GetTopic() != "go" || e.GetPubsubName() != "pub_subs_demo" || e.GetType() != "com.runtime.event.sent" || e.GetSource() != "runtime" {
				t.Errorf("%v", e)
			}
			return
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no event came")
		}
	}
}
