package ottavo_test

import (
	"context"
	"slices"
	"testing"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// Two events are handled at the same time if the broker delivers them so.
func TestConcurrency(t *testing.T) {
	f, client := serve(t)
	f.events = []string{"a", "b"}
	both := make(chan struct{})
	var names []string
	got := make(chan string, 2)
	c := func(_ context.Context, e *ottavo.Event) error {
		got <- string(e.Data)
		<-both
		return nil
	}
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- client.PubSub("p").Subscribe(ctx, "t", c, ottavo.Subscription{Concurrency: 2}) }()
	for range 2 {
		names = append(names, <-got)
	}
	close(both)
	<-f.answered
	slices.Sort(names)
	if !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%q", names)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
