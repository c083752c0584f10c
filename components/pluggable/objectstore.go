package pluggable

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

func newObjectStore(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (objectstore.Store, error) {
	panic("x")
}
