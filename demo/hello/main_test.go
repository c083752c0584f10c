package main

import (
	"context"
	"log"
	"testing"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// The demo prints what its README says.
func TestDemo(t *testing.T) {
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t))
	ottavotest.Prints(t, "hello", func(ctx context.Context, out *log.Logger) error {
		return run(ctx, rt.Addr(t, rt.Config.Runtime.Listener), out)
	})
}
