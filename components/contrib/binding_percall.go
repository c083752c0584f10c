package contrib

import (
	"context"
	"log/slog"
	"maps"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/kit/logger"
)

// OnePerCall makes an output of contrib's that remembers a call's metadata, and takes
// what the next one does not say from them, one that does not: each call has a backend
// of its own. It is for backends whose Init does not connect, and it says what it has to
// say of the settings once.
func OnePerCall(newBackend func(logger.Logger) bindings.OutputBinding) func(logger.Logger) bindings.OutputBinding {
	return func(log logger.Logger) bindings.OutputBinding {
		return &perCall{OutputBinding: newBackend(log), open: func() bindings.OutputBinding {
			return newBackend(NewLogger(slog.New(slog.DiscardHandler)))
		}}
	}
}

type perCall struct {
	bindings.OutputBinding // checks the settings
	open                   func() bindings.OutputBinding
	metadata               bindings.Metadata
}

// Init implements bindings.OutputBinding.
func (p *perCall) Init(ctx context.Context, metadata bindings.Metadata) error {
	p.metadata = metadata
	p.metadata.Properties = maps.Clone(metadata.Properties)
	return p.OutputBinding.Init(ctx, metadata)
}

// Invoke implements bindings.OutputBinding.
func (p *perCall) Invoke(ctx context.Context, req *bindings.InvokeRequest) (*bindings.InvokeResponse, error) {
	b := p.open()
	metadata := p.metadata
	metadata.Properties = maps.Clone(metadata.Properties)
	if err := b.Init(ctx, metadata); err != nil {
		return nil, err
	}
	defer b.Close() //nolint:errcheck // it has nothing open
	return b.Invoke(ctx, req)
}
