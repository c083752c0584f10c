package mesh

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// TestLimitBehindCallbacks: what a callback takes is not left to the call, and the
// frame says so: the core and the service give up no later than we do.
func TestLimitBehindCallbacks(t *testing.T) {
	for _, took := range []time.Duration{0, time.Second, 4 * time.Second} {
		for _, protocol := range []string{"bolt", "boltv2", "dubbo"} {
			synctest.Test(t, func(t *testing.T) {
				slow := rpc.Callback{Name: "slow", Before: func(components.Config) (rpc.Before, error) {
					return func(context.Context, *rpc.Request) error {
						time.Sleep(took)
						return nil
					}, nil
				}}
				inv, _, _ := channels(t, map[string]any{"channel": []any{channelOf(protocol, "b")}, "before_invoke": []any{map[string]any{"name": "slow"}}},
					func(o *opened, req *stream.Request) (*stream.Response, error) {
						if want := max(3*time.Second-took, time.Millisecond); req.Timeout != want {
							t.Errorf("%s: the callback took %v; the frame says %v, want %v", protocol, took, req.Timeout, want)
						}
						if left := time.Until(req.Deadline); left != 3*time.Second-took {
							t.Errorf("%s: the callback took %v; %v are left", protocol, took, left)
						}
						return where(o, req)
					}, slow)
				_, _ = inv.Invoke(t.Context(), &rpc.Request{Timeout: 3 * time.Second})
			})
		}
	}
}
