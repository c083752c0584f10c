package contrib

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/dapr/components-contrib/bindings"
	"github.com/dapr/components-contrib/health"
	contribmetadata "github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/internal/settings"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// bindingBackend is what every binding of contrib has; it is an
// bindings.OutputBinding, an bindings.InputBinding, or both.
type bindingBackend interface {
	contribmetadata.ComponentWithMetadata
	Init(ctx context.Context, metadata bindings.Metadata) error
	Close() error
}

// directionKey is the setting that says which way a binding works, as in Dapr:
// "input", "output", or both with a comma.
const directionKey = "direction"

// Binding makes a constructor of binding.Binding of one of contrib's. The
// component is an Output and an Input as far as the backend is, and the setting
// `direction` does not say otherwise.
func Binding[B bindingBackend](newBackend func(logger.Logger) B) components.Factory[binding.Binding] {
	return BindingAt(newBackend, nil)
}

// BindingAt is Binding for a backend that cannot be pinged: it is healthy while one
// of the addresses, host:port, accepts connections.
func BindingAt[B bindingBackend](newBackend func(logger.Logger) B, addresses func(properties map[string]string) []string) components.Factory[binding.Binding] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (binding.Binding, error) {
		input, output, err := directions(cfg)
		if err != nil {
			return nil, err
		}
		var backend bindingBackend = newBackend(NewLogger(env.Log))
		WarnUnknown(cfg, backend, directionKey)
		in, isInput := backend.(bindings.InputBinding)
		out, isOutput := backend.(bindings.OutputBinding)
		if isInput, isOutput = isInput && input, isOutput && output; !isInput && !isOutput {
			return nil, decode.Problems{{
				Path: decode.Join(cfg.SettingsPath(), directionKey), Message: fmt.Sprintf("a binding of type %q does not work in this direction", cfg.Type),
				Remedy: "leave it out",
			}}
		}
		base := Base(cfg)
		properties := maps.Clone(base.Properties) // backends write into theirs
		err = run(ctx, func(ctx context.Context) error {
			return backend.Init(ctx, bindings.Metadata{Base: base})
		})
		if err != nil {
			return nil, hideSecrets(errors.Join(err, closeFailed(backend)), properties)
		}
		core := &bindingCore{backend: backend, properties: properties, closing: make(chan struct{})}
		if addresses != nil {
			core.addresses = addresses(maps.Clone(properties))
		}
		switch {
		case !isInput:
			return outputBinding{core, out}, nil
		case !isOutput:
			return inputBinding{core, in}, nil
		}
		return inputOutputBinding{core, outputBinding{core, out}, inputBinding{core, in}}, nil
	}
}

// directions reads the setting.
func directions(cfg components.Config) (input, output bool, err error) {
	value := ""
	for k, v := range cfg.Metadata {
		if strings.EqualFold(k, directionKey) {
			value, _ = settings.Text(v)
		}
	}
	if value == "" {
		return true, true, nil
	}
	for d := range strings.SplitSeq(value, ",") {
		switch strings.ToLower(strings.TrimSpace(d)) {
		case "input":
			input = true
		case "output":
			output = true
		default:
			return false, false, decode.Problems{{
				Path: decode.Join(cfg.SettingsPath(), directionKey), Message: fmt.Sprintf("unknown direction %q", d),
				Remedy: `write "input", "output" or "input, output"`,
			}}
		}
	}
	return input, output, nil
}

// bindingCore is one of contrib's bindings.
type bindingCore struct {
	backend    bindingBackend
	properties map[string]string // the settings
	addresses  []string          // of its servers; none: they are not looked for
	once       sync.Once
	closing    chan struct{} // closed by Close
	reading    sync.WaitGroup
	err        error
}

func (b *bindingCore) closed() bool {
	select {
	case <-b.closing:
		return true
	default:
		return false
	}
}

// Check implements components.Checker. A backend that cannot tell counts as well.
func (b *bindingCore) Check(ctx context.Context) error {
	if p, ok := b.backend.(health.Pinger); ok {
		return hideSecrets(run(ctx, p.Ping), b.properties)
	}
	return reach(ctx, b.addresses)
}

// Close implements binding.Binding.
func (b *bindingCore) Close() error {
	b.once.Do(func() {
		close(b.closing)
		b.err = hideSecrets(b.backend.Close(), b.properties)
		b.reading.Wait()
	})
	return b.err
}

type outputBinding struct {
	*bindingCore
	out bindings.OutputBinding
}

// Operations implements binding.Output.
func (b outputBinding) Operations() []string {
	kinds := b.out.Operations()
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return names
}

// Invoke implements binding.Output.
func (b outputBinding) Invoke(ctx context.Context, req *binding.Request) (*binding.Response, error) {
	if b.closed() {
		return nil, binding.ErrClosed
	}
	resp, err := await(ctx, func(ctx context.Context) (*binding.Response, error) {
		// Backends write into the metadata, and reckon with it not being nil.
		metadata := make(map[string]string, len(req.Metadata))
		for k, v := range req.Metadata {
			metadata[k] = v
		}
		resp, err := b.out.Invoke(ctx, &bindings.InvokeRequest{Data: req.Data, Metadata: metadata, Operation: bindings.OperationKind(req.Operation)})
		if resp == nil {
			return new(binding.Response), err
		}
		// Some backends return both: the answer and what is wrong with it.
		return &binding.Response{Data: resp.Data, Metadata: resp.Metadata}, err
	})
	return resp, hideSecrets(err, b.properties)
}

type inputBinding struct {
	*bindingCore
	in bindings.InputBinding
}

// Read implements binding.Input.
func (b inputBinding) Read(ctx context.Context, handle func(context.Context, *binding.Event) ([]byte, error)) (<-chan struct{}, error) {
	if b.closed() {
		return nil, binding.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	var handling sync.WaitGroup
	var mu sync.Mutex // no Add after Wait has begun
	ended := false
	begin := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			handling.Add(1)
		}
		return !ended
	}
	err := b.in.Read(ctx, func(hctx context.Context, r *bindings.ReadResponse) ([]byte, error) {
		if !begin() {
			return nil, binding.ErrClosed
		}
		defer handling.Done()
		return handle(hctx, &binding.Event{Data: r.Data, Metadata: r.Metadata})
	})
	if err != nil {
		cancel()
		return nil, hideSecrets(err, b.properties)
	}
	done := make(chan struct{})
	b.reading.Go(func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-b.closing:
		}
		cancel()
		mu.Lock()
		ended = true
		mu.Unlock()
		handling.Wait()
	})
	return done, nil
}

type inputOutputBinding struct {
	*bindingCore
	outputBinding
	inputBinding
}
