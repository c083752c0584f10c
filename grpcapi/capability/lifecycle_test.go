package capability_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

type reconfigurer func(ctx context.Context, metadata map[string]string) error

func (r reconfigurer) Reconfigure(ctx context.Context, metadata map[string]string) error {
	return r(ctx, metadata)
}

// Calls for one component come one after the other, and wait no longer for that than
// their callers do.
func TestApplyOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := capability.ComponentID{Kind: "hellos", Name: "h"}
		release, got := make(chan struct{}), make(chan string, 2)
		l := capability.NewLifecycle(map[capability.ComponentID]components.Reconfigurer{id: reconfigurer(func(_ context.Context, m map[string]string) error {
			<-release
			got <- m["hello"]
			return nil
		})})
		first := make(chan error, 1)
		go func() { first <- l.Apply(t.Context(), id, map[string]string{"hello": "first"}) }()
		synctest.Wait()
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		wantError(t, l.Apply(late, id, map[string]string{"hello": "late"}), capability.Deadline)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it came back after %s", took)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := l.Apply(t.Context(), id, map[string]string{"hello": "last"}); err != nil {
			t.Error(err)
		}
		if one, two := <-got, <-got; one != "first" || two != "last" {
			t.Errorf("it got %q and %q", one, two)
		}
	})
}
