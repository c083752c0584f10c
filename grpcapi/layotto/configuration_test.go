package layotto_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func newConfigurationStore(t testing.TB) configuration.Store {
	t.Helper()
	s, err := memory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// brokenConfiguration is a store that fails with err, if it is not nil.
type brokenConfiguration struct {
	configuration.Store
	err error
}

func (b brokenConfiguration) Get(context.Context, configuration.Scope, []string) ([]configuration.Item, error) {
	return nil, b.err
}

func (b brokenConfiguration) Save(context.Context, string, []configuration.Item, map[string]string) error {
	return b.err
}

func (b brokenConfiguration) Delete(context.Context, configuration.Scope, []string) error {
	return b.err
}

func (b brokenConfiguration) Watch(context.Context, configuration.Scope, []string, func(configuration.Change) error) error {
	return b.err
}

func configurations(stores map[string]configuration.Store) layotto.Config {
	return layotto.Config{Configuration: capability.NewConfiguration("sidecar", stores)}
}

type subscription = grpc.BidiStreamingClient[runtimev1.SubscribeConfigurationRequest, runtimev1.SubscribeConfigurationResponse]

// subscribe opens a stream with these subscriptions.
func subscribe(t testing.TB, ctx context.Context, client runtimev1.RuntimeClient, reqs ...*runtimev1.SubscribeConfigurationRequest) subscription {
	t.Helper()
	stream, err := client.SubscribeConfiguration(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range reqs {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

func receive(t testing.TB, stream subscription) *runtimev1.SubscribeConfigurationResponse {
	t.Helper()
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// show brings an answer into a form that can be compared.
func show(resp *runtimev1.SubscribeConfigurationResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s:", resp.GetStoreName(), resp.GetAppId())
	for _, i := range resp.GetItems() {
		fmt.Fprintf(&b, " %s/%s/%s=%s", i.GetGroup(), i.GetLabel(), i.GetKey(), i.GetContent())
		if i.GetMetadata()["deleted"] == "true" {
			b.WriteString("(deleted)")
		}
	}
	return b.String()
}

func wantNext(t testing.TB, stream subscription, want string) {
	t.Helper()
	if got := show(receive(t, stream)); got != want {
		t.Errorf("the client is told %s\nwant               %s", got, want)
	}
}

func saveConfiguration(t testing.TB, ctx context.Context, client runtimev1.RuntimeClient, store string, items ...*runtimev1.ConfigurationItem) {
	t.Helper()
	if _, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: store, AppId: "app", Items: items}); err != nil {
		t.Fatal(err)
	}
}

func configItem(key, content string) *runtimev1.ConfigurationItem {
	return &runtimev1.ConfigurationItem{Key: key, Content: content}
}

func TestConfigurationRoundTrip(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	ctx := timeout(t)
	saveConfiguration(t, ctx, client, "c",
		&runtimev1.ConfigurationItem{Key: "a", Content: "1", Group: " ", Label: "\t", Tags: map[string]string{"env": "prod"}},
		&runtimev1.ConfigurationItem{Key: "b", Content: "2", Group: "g", Label: "l"})
	get := func(req *runtimev1.GetConfigurationRequest) string {
		t.Helper()
		req.StoreName = "c"
		resp, err := client.GetConfiguration(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return show(&runtimev1.SubscribeConfigurationResponse{Items: resp.GetItems()})
	}
	for _, tt := range []struct {
		req  *runtimev1.GetConfigurationRequest
		want string
	}{
		{&runtimev1.GetConfigurationRequest{AppId: "app", Keys: []string{"a", "none"}}, "/: default/default/a=1"},
		{&runtimev1.GetConfigurationRequest{AppId: "app", Group: "  "}, "/: default/default/a=1"},
		{&runtimev1.GetConfigurationRequest{AppId: "app", Group: "g", Label: "l", SubscribeUpdate: true}, "/: g/l/b=2"},
		{&runtimev1.GetConfigurationRequest{AppId: "app", Group: "*", Label: "*"}, "/: default/default/a=1 g/l/b=2"},
		{&runtimev1.GetConfigurationRequest{AppId: "other"}, "/:"},
		{&runtimev1.GetConfigurationRequest{}, "/:"},
	} {
		if got := get(tt.req); got != tt.want {
			t.Errorf("get %v: %s, want %s", tt.req, got, tt.want)
		}
	}
	resp, err := client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: "c", AppId: "app"})
	if err != nil || resp.GetItems()[0].GetTags()["env"] != "prod" {
		t.Errorf("tags: %v %v", resp, err)
	}
	if _, err := client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{StoreName: "c", AppId: "app", Keys: []string{"a", "none"}}); err != nil {
		t.Fatal(err)
	}
	if got := get(&runtimev1.GetConfigurationRequest{AppId: "app"}); got != "/:" {
		t.Errorf("after delete: %s", got)
	}
	// Without an application's id, it is the sidecar's.
	if _, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: "c", Items: []*runtimev1.ConfigurationItem{configItem("own", "x")}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "sidecar"} {
		if got := get(&runtimev1.GetConfigurationRequest{AppId: id}); got != "/: default/default/own=x" {
			t.Errorf("application %q: %s", id, got)
		}
	}
}

func TestConfigurationErrors(t *testing.T) {
	down := fmt.Errorf("%w: dial tcp 127.0.0.1:1: refused", configuration.ErrUnavailable)
	client, _ := serve(t, configurations(map[string]configuration.Store{
		"odd": brokenConfiguration{newConfigurationStore(t), errors.New("disk on fire")}, "down": brokenConfiguration{newConfigurationStore(t), down},
		"no": brokenConfiguration{newConfigurationStore(t), fmt.Errorf("%w: it is read only", configuration.ErrNotSupported)},
	}))
	nothing, _ := serve(t, layotto.Config{})
	ctx := timeout(t)
	calls := func(client runtimev1.RuntimeClient, store string) (get, save, del, watch error) {
		_, get = client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: store})
		_, save = client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: store, Items: []*runtimev1.ConfigurationItem{configItem("k", "v")}})
		_, del = client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{StoreName: store, Keys: []string{"k"}})
		_, watch = subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: store}).Recv()
		return
	}
	for _, tt := range []struct {
		client    runtimev1.RuntimeClient
		store     string
		code      codes.Code
		get, text string
		reason    string
	}{
		{client, "x", codes.Unknown, "configure store [x] don't support now", "configure store [x] don't support now", "UNKNOWN_COMPONENT"},
		{nothing, "x", codes.Unknown, "configure store [x] don't support now", "configure store [x] don't support now", "NOT_CONFIGURED"},
		{client, "odd", codes.Unknown, "get configuration failed with error: disk on fire", "disk on fire", "UNKNOWN"},
		{client, "down", codes.Unknown, "get configuration failed with error: " + down.Error(), down.Error(), "UNAVAILABLE"},
		{client, "no", codes.Unimplemented, "get configuration failed with error: not supported by this configuration store: it is read only", "not supported by this configuration store: it is read only", "NOT_SUPPORTED"},
	} {
		get, save, del, watch := calls(tt.client, tt.store)
		wantStatus(t, get, tt.code, tt.get, tt.reason)
		for _, err := range []error{save, del, watch} {
			wantStatus(t, err, tt.code, tt.text, tt.reason)
		}
	}
	// A client that has nothing more to say hears of its mistake, too.
	for range 20 {
		stream := subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: "x"})
		_ = stream.CloseSend()
		_, err := stream.Recv()
		wantStatus(t, err, codes.Unknown, "configure store [x] don't support now", "UNKNOWN_COMPONENT")
	}
	_, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: "odd", Items: []*runtimev1.ConfigurationItem{configItem("", "v")}})
	wantStatus(t, err, codes.InvalidArgument, "invalid request: an item has no key: every item needs one", "INVALID_ARGUMENT")
	_, err = client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{StoreName: "odd", Keys: []string{"*"}})
	if err == nil || !strings.Contains(err.Error(), `"*" means all`) {
		t.Errorf("delete of all: %v", err)
	}
}

func TestSubscribeConfiguration(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t), "d": newConfigurationStore(t)}))
	ctx := timeout(t)
	saveConfiguration(t, ctx, client, "c", configItem("k", "1"))
	// One stream, three subscriptions on two stores, the third of an item that is not there yet.
	stream := subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app", Keys: []string{"k"}})
	wantNext(t, stream, "c/app: default/default/k=1")
	if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: "d", AppId: "app", Group: "g", Label: "*"}); err != nil {
		t.Fatal(err)
	}
	saveConfiguration(t, ctx, client, "d", &runtimev1.ConfigurationItem{Key: "x", Content: "a", Group: "g", Label: "l"})
	wantNext(t, stream, "d/app: g/l/x=a")
	saveConfiguration(t, ctx, client, "c", configItem("k", "2"), configItem("unheard", "z"))
	wantNext(t, stream, "c/app: default/default/k=2")
	if _, err := client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{StoreName: "c", AppId: "app", Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	wantNext(t, stream, "c/app: default/default/k=(deleted)")
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the client's half of the stream ended: %v %v, want a clean end", resp, err)
	}
}

func TestSubscribeConfigurationChangesOnly(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	ctx := timeout(t)
	saveConfiguration(t, ctx, client, "c", configItem("k", "1"))
	stream := subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app", Metadata: map[string]string{"initial": "false"}})
	if _, err := stream.Header(); err != nil { // it stands
		t.Fatal(err)
	}
	saveConfiguration(t, ctx, client, "c", configItem("k", "2"))
	wantNext(t, stream, "c/app: default/default/k=2")
}

// However a stream ends, others on the same store go on.
func TestSubscribeConfigurationEndsAlone(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	ctx := timeout(t)
	req := &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app", Keys: []string{"k"}}
	saveConfiguration(t, ctx, client, "c", configItem("k", "0"))
	staying := subscribe(t, ctx, client, req, req)
	for range 2 {
		wantNext(t, staying, "c/app: default/default/k=0")
	}
	ends := []func(stream subscription, cancel func()) error{
		func(stream subscription, _ func()) error { return stream.CloseSend() },
		func(_ subscription, cancel func()) error { cancel(); return nil },
		func(stream subscription, _ func()) error {
			return stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: "unknown"})
		},
	}
	for i, end := range ends {
		each, cancel := context.WithCancel(ctx)
		leaving := subscribe(t, each, client, req)
		wantNext(t, leaving, "c/app: default/default/k="+strconv.Itoa(i))
		if err := end(leaving, cancel); err != nil {
			t.Fatal(err)
		}
		if resp, err := leaving.Recv(); err == nil {
			t.Errorf("stream %d goes on: %v", i, resp)
		}
		cancel()
		saveConfiguration(t, ctx, client, "c", configItem("k", strconv.Itoa(i+1)))
		for range 2 {
			wantNext(t, staying, "c/app: default/default/k="+strconv.Itoa(i+1))
		}
	}
}

// A client that reads nothing holds up nobody, and finds the last state when it
// reads again.
func TestSubscribeConfigurationSlowClient(t *testing.T) {
	client, cc := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	ctx := timeout(t)
	other := runtimev1.NewRuntimeClient(cc)
	slow := subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app"})
	quick := subscribe(t, ctx, other, &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app"})
	for _, s := range []subscription{slow, quick} {
		if _, err := s.Header(); err != nil {
			t.Fatal(err)
		}
	}
	const rounds = 200
	large := strings.Repeat("x", 32<<10) // 6.4 MB in all: more than any window
	for i := range rounds {
		saveConfiguration(t, ctx, client, "c", configItem("k", strconv.Itoa(i)+large))
		for got := ""; !strings.HasPrefix(got, strconv.Itoa(i)+"x"); {
			got = receive(t, quick).GetItems()[0].GetContent()
		}
	}
	messages := 0
	for last := ""; !strings.HasPrefix(last, strconv.Itoa(rounds-1)+"x"); messages++ {
		last = receive(t, slow).GetItems()[0].GetContent()
	}
	if messages >= rounds {
		t.Errorf("the slow client was told all %d changes: nothing was merged", messages)
	}
}

// What is too large for one message comes in several.
func TestSubscribeConfigurationLargeState(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	ctx := timeout(t)
	for i := range 8 {
		saveConfiguration(t, ctx, client, "c", configItem("k"+strconv.Itoa(i), strings.Repeat("x", 900<<10)))
	}
	stream := subscribe(t, ctx, client, &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app"})
	for n := 0; n < 8; {
		n += len(receive(t, stream).GetItems())
	}
}

func TestSubscribeConfigurationTooMany(t *testing.T) {
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": newConfigurationStore(t)}))
	stream := subscribe(t, timeout(t), client)
	for range 1001 {
		if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: "c"}); err != nil {
			break
		}
	}
	_, err := stream.Recv()
	wantStatus(t, err, codes.ResourceExhausted, "the stream has 1000 subscriptions, which is all that one may have: open another stream", "TOO_LARGE")
}

// A store that is closed ends the streams on it, and says so.
func TestSubscribeConfigurationStoreCloses(t *testing.T) {
	store := newConfigurationStore(t)
	client, _ := serve(t, configurations(map[string]configuration.Store{"c": store}))
	stream := subscribe(t, timeout(t), client, &runtimev1.SubscribeConfigurationRequest{StoreName: "c"})
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Recv()
	wantStatus(t, err, codes.Unknown, "configuration store is closed", "UNAVAILABLE")
}

// When the process stops, streams end at once, also to clients that do not read.
func TestSubscribeConfigurationStops(t *testing.T) {
	cfg := configurations(map[string]configuration.Store{"c": newConfigurationStore(t)})
	client, _ := serve(t, cfg)
	ctx := timeout(t)
	req := &runtimev1.SubscribeConfigurationRequest{StoreName: "c", AppId: "app"}
	reading, deaf := subscribe(t, ctx, client, req), subscribe(t, ctx, client, req)
	for _, s := range []subscription{reading, deaf} {
		if _, err := s.Header(); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("x", 900<<10)
	for i := range 4 { // more than the window of a stream
		saveConfiguration(t, ctx, client, "c", configItem("k"+strconv.Itoa(i), large))
	}
	for n := 0; n < 4; {
		n += len(receive(t, reading).GetItems())
	}
	running, stop := context.WithCancel(ctx)
	stop()
	cfg.Configuration.Run(running)
	_, err := reading.Recv()
	wantStatus(t, err, codes.Unavailable, "the runtime is stopping: subscribe again, at another one or when it is back", "UNAVAILABLE")
	for err = nil; err == nil; { // what was on its way, and then the end
		_, err = deaf.Recv()
	}
	if s := status.Code(err); s != codes.Unavailable {
		t.Errorf("a client that did not read: %v", err)
	}
}
