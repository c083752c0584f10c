package builtin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// healthOf waits until a configuration store is in that state, and returns why.
func healthOf(t *testing.T, r *runtimetest.Runtime, store string, want actuator.Status) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, c := range r.Status().Components {
			if c.Name == store && c.Status == want {
				return c.Reason
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the store %s does not become %v: %+v", store, want, r.Status().Components)
		}
	}
}

// TestConfigurationStores: stores of several types in one runtime, over the API;
// one of them goes away and comes back, and nobody misses anything.
func TestConfigurationStores(t *testing.T) {
	server := etcd.Start(t)
	link := testserver.NewLink(t, server.Addr)
	path := filepath.Join(t.TempDir(), "items.yaml")
	if err := os.WriteFile(path, []byte("k: from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  app: {app_id: shop}
  config_store:
    memory: {type: in-memory}
    local: {type: file, metadata: {path: %q, interval: 20ms}}
    central: {type: etcd, address: [%q], timeout: "1"}
`, path, link.Addr))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	client := runtimev1.NewRuntimeClient(r.Client(t))
	stream, err := client.SubscribeConfiguration(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{"memory", "local", "central"} {
		if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: store}); err != nil {
			t.Fatal(err)
		}
	}
	told := func(store, key, content string) {
		t.Helper()
		for {
			resp, err := stream.Recv()
			if err != nil {
				t.Fatalf("waiting for %s %s=%s: %v", store, key, content, err)
			}
			for _, i := range resp.GetItems() {
				if resp.GetStoreName() == store && i.GetKey() == key && i.GetContent() == content && resp.GetAppId() == "shop" {
					return
				}
			}
		}
	}
	save := func(store, content string) error {
		_, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: store, Items: []*runtimev1.ConfigurationItem{{Key: "k", Content: content}}})
		return err
	}
	told("local", "k", "from the file")
	for _, store := range []string{"memory", "local", "central"} {
		if err := save(store, "saved in "+store); err != nil {
			t.Fatal(err)
		}
		told(store, "k", "saved in "+store)
	}

	link.Cut()
	if why := healthOf(t, r, "central", actuator.Down); !strings.Contains(why, "etcd") {
		t.Errorf("down, because: %s", why)
	}
	_, err = client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: "central"})
	if s := status.Convert(err); s.Code() != codes.Unknown || !strings.HasPrefix(s.Message(), "get configuration failed with error: configuration server unavailable: etcd at "+link.Addr) {
		t.Errorf("while etcd is away: %v", err)
	}
	if err := save("memory", "meanwhile"); err != nil {
		t.Errorf("another store while etcd is away: %v", err)
	}
	told("memory", "k", "meanwhile")
	other := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  config_store:
    central: {type: etcd, address: [%q]}
`, server.Addr))
	_, err = runtimev1.NewRuntimeClient(other.Client(t)).SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{
		StoreName: "central", AppId: "shop", Items: []*runtimev1.ConfigurationItem{{Key: "k", Content: "saved by another sidecar"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	link.Mend()
	healthOf(t, r, "central", actuator.Up)
	told("central", "k", "saved by another sidecar")

	// A subscription does not keep the process from ending.
	began := time.Now()
	if err := r.Stop(); err != nil || time.Since(began) > 25*time.Second {
		t.Errorf("stopping with a subscription took %s: %v", time.Since(began), err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the subscription ended with %v", err)
	}
}
