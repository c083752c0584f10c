package main

import (
	"context"
	"log"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// The demo prints what its README says.
func TestDemo(t *testing.T) {
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t))
	ottavotest.Prints(t, "lock", func(ctx context.Context, out *log.Logger) error {
		// Longer than the machine may stand still: a lock that expires meanwhile is lost.
		return run(ctx, rt.Addr(t, rt.Config.Runtime.Listener), 4*time.Second, out)
	})
}
