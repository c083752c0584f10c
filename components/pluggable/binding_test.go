package pluggable_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/secret/secrettest"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// outputServer echoes.
type outputServer struct {
	daprv1.UnimplementedOutputBindingServer
	daprInit
}

func (s *outputServer) Init(ctx context.Context, r *daprv1.OutputBindingInitRequest) (*daprv1.OutputBindingInitResponse, error) {
	return &daprv1.OutputBindingInitResponse{}, s.init(ctx, r.GetMetadata())
}

func (s *outputServer) Ping(ctx context.Context, r *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	return s.daprInit.Ping(ctx, r)
}

func (s *outputServer) ListOperations(context.Context, *daprv1.ListOperationsRequest) (*daprv1.ListOperationsResponse, error) {
	return &daprv1.ListOperationsResponse{Operations: []string{"echo"}}, nil
}

func (s *outputServer) Invoke(_ context.Context, r *daprv1.InvokeRequest) (*daprv1.InvokeResponse, error) {
	if r.GetOperation() != "echo" {
		return nil, status.Errorf(codes.InvalidArgument, "operation %q", r.GetOperation())
	}
	return &daprv1.InvokeResponse{Data: r.GetData(), Metadata: r.GetMetadata()}, nil
}

// inputServer ticks, and keeps what is answered.
type inputServer struct {
	daprv1.UnimplementedInputBindingServer
	daprInit
	answers chan *daprv1.ReadRequest
}

func (s *inputServer) Init(ctx context.Context, r *daprv1.InputBindingInitRequest) (*daprv1.InputBindingInitResponse, error) {
	return &daprv1.InputBindingInitResponse{}, s.init(ctx, r.GetMetadata())
}

func (s *inputServer) Ping(ctx context.Context, r *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	return s.daprInit.Ping(ctx, r)
}

func (s *inputServer) Read(stream grpc.BidiStreamingServer[daprv1.ReadRequest, daprv1.ReadResponse]) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case s.answers <- r:
			default:
			}
		}
	}()
	for i := 0; ; i++ {
		if err := stream.Send(&daprv1.ReadResponse{Data: []byte("tick"), Metadata: map[string]string{"n": "1"}, MessageId: string(rune('a' + i%2))}); err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-tick.C:
		}
	}
}

func TestBindings(t *testing.T) {
	t.Parallel()
	in, out := &inputServer{answers: make(chan *daprv1.ReadRequest, 1)}, new(outputServer)
	p := start(t, func(g *grpc.Server) {
		daprv1.RegisterInputBindingServer(g, in)
		daprv1.RegisterOutputBindingServer(g, out)
	})
	rows := p.rows().Bindings
	make := func(t *testing.T) binding.Binding { return open(t, rows, nil) }
	bindingtest.RunOutput(t, bindingtest.Output{
		New: make, Request: binding.Request{Operation: "echo", Data: []byte("hello")}, Want: "hello", Wrong: &binding.Request{Operation: "what"},
	})
	bindingtest.RunInput(t, bindingtest.Input{New: make})
	if in.count() == 0 || out.count() != in.count() {
		t.Errorf("initialised %d and %d times", in.count(), out.count())
	}
}

// One that only reads is no output and the other way round; answers go back; reading
// goes on when the process was restarted.
func TestBindingDirections(t *testing.T) {
	t.Parallel()
	in := &inputServer{answers: make(chan *daprv1.ReadRequest, 1)}
	p := start(t, func(g *grpc.Server) { daprv1.RegisterInputBindingServer(g, in) })
	b := open(t, p.rows().Bindings, nil)
	defer func() { _ = b.Close() }()
	if _, ok := b.(binding.Output); ok {
		t.Error("an input is an output")
	}
	_, err := b.(binding.Input).Read(t.Context(), func(_ context.Context, e *binding.Event) ([]byte, error) {
		if string(e.Data) != "tick" || e.Metadata["n"] != "1" {
			t.Errorf("event %+v", e)
		}
		return []byte("tock"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if a := <-in.answers; string(a.GetResponseData()) != "tock" || a.GetResponseError() != nil || !slices.Contains([]string{"a", "b"}, a.GetMessageId()) {
			t.Errorf("answer %v", a)
		}
		if round == 0 {
			p.kill()
			p.up()
			for len(in.answers) > 0 {
				<-in.answers
			}
		}
	}

	q := start(t, func(g *grpc.Server) { daprv1.RegisterOutputBindingServer(g, new(outputServer)) })
	o := open(t, q.rows().Bindings, nil)
	defer func() { _ = o.Close() }()
	if _, ok := o.(binding.Input); ok {
		t.Error("an output is an input")
	}
	if ops := o.(binding.Output).Operations(); !slices.Equal(ops, []string{"echo"}) {
		t.Errorf("operations %v", ops)
	}
}

// An error of the handler is told.
func TestBindingHandlerFails(t *testing.T) {
	t.Parallel()
	in := &inputServer{answers: make(chan *daprv1.ReadRequest, 1)}
	p := start(t, func(g *grpc.Server) { daprv1.RegisterInputBindingServer(g, in) })
	b := open(t, p.rows().Bindings, nil)
	defer func() { _ = b.Close() }()
	_, err := b.(binding.Input).Read(t.Context(), func(context.Context, *binding.Event) ([]byte, error) { return nil, errors.New("no room") })
	if err != nil {
		t.Fatal(err)
	}
	if a := <-in.answers; a.GetResponseError().GetMessage() != "no room" {
		t.Errorf("answer %v", a)
	}
}

// secretServer keeps two secrets.
type secretServer struct {
	daprv1.UnimplementedSecretStoreServer
	daprInit
	secrets map[string]secret.Secret
}

func (s *secretServer) Init(ctx context.Context, r *daprv1.SecretStoreInitRequest) (*daprv1.SecretStoreInitResponse, error) {
	return &daprv1.SecretStoreInitResponse{}, s.init(ctx, r.GetMetadata())
}

func (s *secretServer) Ping(ctx context.Context, r *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	return s.daprInit.Ping(ctx, r)
}

func (s *secretServer) Get(_ context.Context, r *daprv1.GetSecretRequest) (*daprv1.GetSecretResponse, error) {
	if _, ok := s.secrets[r.GetKey()]; !ok {
		return nil, status.Error(codes.NotFound, "there is none")
	}
	return &daprv1.GetSecretResponse{Data: s.secrets[r.GetKey()]}, nil
}

func (s *secretServer) BulkGet(context.Context, *daprv1.BulkGetSecretRequest) (*daprv1.BulkGetSecretResponse, error) {
	out := &daprv1.BulkGetSecretResponse{Data: map[string]*daprv1.SecretResponse{}}
	for key, values := range s.secrets {
		out.Data[key] = &daprv1.SecretResponse{Secrets: values}
	}
	return out, nil
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	server := &secretServer{secrets: map[string]secret.Secret{"db": {"user": "u", "password": "p"}, "token": {"token": "t"}}}
	rows := start(t, func(g *grpc.Server) { daprv1.RegisterSecretStoreServer(g, server) }).rows().Secrets
	secrettest.Run(t, secrettest.Options{
		New: func(t *testing.T) secret.Store { return open(t, rows, nil) }, Secrets: server.secrets, Missing: "none",
	})
	s := open(t, rows, nil)
	defer func() { _ = s.Close() }()
	if _, err := s.Get(t.Context(), "none", nil); !errors.Is(err, secret.ErrNotFound) {
		t.Error(err)
	}
}
