package customtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/custom/customtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestCounter(t *testing.T) {
	matrix.Backend(t, "custom", "counter")
	settings := func(step any) components.Config {
		return components.Config{Name: "mine", Type: "counter", Path: "runtime.custom_component.things.mine", Metadata: map[string]any{"step": step}}
	}
	customtest.Run(t, customtest.Options{
		New:    customtest.NewCounter,
		Config: settings(3),
		Bad:    map[string]components.Config{"no number": settings("many"), "too small": settings(0)},
		Use: func(_ context.Context, c custom.Component) error {
			n, err := c.(*customtest.Counter).Count()
			if err == nil && (n < 3 || n%3 != 0) {
				err = fmt.Errorf("counted %d in steps of 3", n)
			}
			return err
		},
	})
}

func TestCounterClosed(t *testing.T) {
	c, err := customtest.NewCounter(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	counter := c.(*customtest.Counter)
	if n, err := counter.Count(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := counter.Close(); err != nil {
		t.Error(err)
	}
	if n, err := counter.Count(); err == nil {
		t.Errorf("a closed counter counts %d", n)
	}
}
