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
	t.Setenv("OTTAVO_SECRET_db_password", "hunter2")
	t.Setenv("OTTAVO_SECRET_api_key", "k-1")
	rt := runtimetest.Start(t, ottavotest.DefaultConfig(t))
	ottavotest.Prints(t, "secrets", func(ctx context.Context, out *log.Logger) error {
		return run(ctx, rt.Addr(t, rt.Config.Runtime.Listener), out)
	})
}
