package sdktest_test

import (
	"context"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func TestConfiguration(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, c := timeout(t), client.Configuration("config")
	if err := c.Save(ctx, ottavo.ConfigItem{Key: "a", Content: "1", Tags: map[string]string{"x": "y"}}, ottavo.ConfigItem{Key: "b", Content: "2"}); err != nil {
		t.Fatal(err)
	}
	items, err := c.Get(ctx, "a", "nothing")
	if err != nil || len(items) != 1 || items[0].Key != "a" || items[0].Content != "1" || items[0].Tags["x"] != "y" || items[0].Group == "" {
		t.Errorf("%+v, %v", items, err)
	}
	// A scope is a place of its own.
	prod := c.In(ottavo.Scope{Group: "g", Label: "prod"})
	if err := prod.Save(ctx, ottavo.ConfigItem{Key: "a", Content: "other"}); err != nil {
		t.Fatal(err)
	}
	if items, err := prod.Get(ctx); err != nil || len(items) != 1 || items[0].Content != "other" || items[0].Label != "prod" {
		t.Errorf("%+v, %v", items, err)
	}
	if err := c.Delete(ctx, "a", "nothing"); err != nil {
		t.Error(err)
	}
	if items, err := c.Get(ctx); err != nil || len(items) != 1 || items[0].Key != "b" {
		t.Errorf("after Delete: %+v, %v", items, err)
	}
	unknown := client.Configuration("nowhere")
	_, err = unknown.Get(ctx, "a")
	for _, err := range []error{err, unknown.Save(ctx, ottavo.ConfigItem{Key: "a"}), unknown.Delete(ctx, "a")} {
		if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%v, want the runtime's error", err)
		}
	}
}

// A watch yields what there is, what changes, and, when the runtime can be reached
// again, what has changed meanwhile.
func TestWatch(t *testing.T) {
	r, client := startReal(t, 0)
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	c := client.Configuration("config")
	save := func(key, content string) {
		t.Helper()
		if err := c.Save(ctx, ottavo.ConfigItem{Key: key, Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	save("a", "1")
	save("c", "1")
	next, stop := iter.Pull2(c.Watch(ctx))
	defer stop()
	want := func(wants ...string) {
		t.Helper()
		var got []string
		for len(got) < len(wants) {
			item, err, ok := next()
			switch {
			case !ok:
				t.Fatalf("the watch has ended after %q, want %q", got, wants)
			case err != nil:
				got = append(got, status.Code(err).String())
			case item.Deleted:
				got = append(got, item.Key+" is gone")
			default:
				got = append(got, item.Key+" = "+item.Content)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, wants) {
			t.Fatalf("got %q, want %q", got, wants)
		}
	}
	want("a = 1", "c = 1")
	save("a", "2")
	want("a = 2")
	save("b", "1")
	want("b = 1")
	if err := c.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	want("b is gone")
	save("b", "again")
	want("b = again")

	r.Cut()
	want("Unavailable")
	if err := os.WriteFile(r.path("config.yaml"), []byte("a: '3'\nc: '1'\nd: '1'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Mend()
	skipLost := func() {
		t.Helper()
		item, err, _ := next()
		for err != nil { // while it is cut
			item, err, _ = next()
		}
		if item.Key != "a" || item.Content != "3" {
			t.Fatalf("%+v, %v, want a = 3", item, err)
		}
	}
	skipLost()
	want("b is gone", "d = 1")
	save("d", "2")
	want("d = 2")
	cancel()
	if item, err, ok := next(); ok {
		t.Errorf("after the end of the context: %+v, %v", item, err)
	}
}

func TestWatchOfAnUnknownStore(t *testing.T) {
	_, client := startReal(t, 0)
	n := 0
	for _, err := range client.Configuration("nowhere").Watch(timeout(t)) {
		if n++; status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors, want 1", n)
	}
}
