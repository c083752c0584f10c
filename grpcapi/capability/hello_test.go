package capability_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

type greeter func(ctx context.Context, name string) (string, error)

func (g greeter) Hello(ctx context.Context, name string) (string, error) { return g(ctx, name) }

func TestHello(t *testing.T) {
	sick := errors.New("sore throat")
	h := capability.NewHello(map[string]hello.Greeter{
		"good": greeter(func(_ context.Context, name string) (string, error) { return "hi " + name, nil }),
		"sick": greeter(func(context.Context, string) (string, error) { return "", sick }),
		"slow": greeter(func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
	})
	if text, err := h.Say(t.Context(), "good", "eva"); err != nil || text != "hi eva" {
		t.Errorf("Say = %q, %v", text, err)
	}
	_, err := h.Say(t.Context(), "nobody", "eva")
	if e := wantError(t, err, capability.UnknownComponent); !slices.Equal(e.Known, []string{"good", "sick", "slow"}) || e.Component != "nobody" {
		t.Errorf("error %+v", e)
	}
	_, err = h.Say(t.Context(), "sick", "eva")
	if wantError(t, err, capability.Unknown); !errors.Is(err, sick) {
		t.Errorf("error %v does not wrap the greeter's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Say(ctx, "slow", "eva")
	wantError(t, err, capability.Canceled)

	for _, none := range []*capability.Hello{nil, capability.NewHello(nil)} {
		_, err := none.Say(t.Context(), "good", "eva")
		wantError(t, err, capability.NotConfigured)
	}
}
