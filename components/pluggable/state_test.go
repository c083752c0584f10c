package pluggable_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
)

// stateServer serves a state store as Dapr's components do.
type stateServer struct {
	daprv1.UnimplementedStateStoreServer
	daprv1.UnimplementedTransactionalStateStoreServer
	daprv1.UnimplementedTransactionalStoreMultiMaxSizeServer
	daprInit
	store interface {
		state.Store
		state.Transactor
	}
	noBulk bool
}

func newStateServer(t *testing.T) *stateServer {
	t.Helper()
	s, err := memory.New(t.Context(), components.Env{}, components.Config{Name: "x", Type: memory.Type, Path: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &stateServer{store: s.(*memory.Store)}
}

func (s *stateServer) register(g *grpc.Server) {
	daprv1.RegisterStateStoreServer(g, s)
	daprv1.RegisterTransactionalStateStoreServer(g, s)
	daprv1.RegisterTransactionalStoreMultiMaxSizeServer(g, s)
}

func (s *stateServer) Init(ctx context.Context, r *daprv1.InitRequest) (*daprv1.InitResponse, error) {
	return &daprv1.InitResponse{}, s.init(ctx, r.GetMetadata())
}

func (s *stateServer) Ping(ctx context.Context, r *daprv1.PingRequest) (*daprv1.PingResponse, error) {
	return s.daprInit.Ping(ctx, r)
}

func (s *stateServer) Features(context.Context, *daprv1.FeaturesRequest) (*daprv1.FeaturesResponse, error) {
	return &daprv1.FeaturesResponse{Features: []string{"ETAG", "TTL", "TRANSACTIONAL"}}, nil
}

func (s *stateServer) MultiMaxSize(context.Context, *daprv1.MultiMaxSizeRequest) (*daprv1.MultiMaxSizeResponse, error) {
	return &daprv1.MultiMaxSizeResponse{MaxSize: 1000}, nil
}

// stateStatus is an error as Dapr's components answer with it.
func stateStatus(err error) error {
	var code codes.Code
	switch {
	case err == nil:
		return nil
	case errors.Is(err, state.ErrETagMismatch):
		code = codes.FailedPrecondition
	case errors.Is(err, state.ErrETagInvalid):
		code = codes.InvalidArgument
	default:
		return coded(err, nil)
	}
	st, _ := status.New(code, err.Error()).WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "etag", Description: err.Error()}},
	})
	return st.Err()
}

func (s *stateServer) get(ctx context.Context, r *daprv1.GetRequest) (*daprv1.GetResponse, error) {
	item, err := s.store.Get(ctx, state.Get{Key: r.GetKey(), Metadata: r.GetMetadata()})
	if err != nil || item == nil {
		return &daprv1.GetResponse{}, stateStatus(err)
	}
	resp := &daprv1.GetResponse{Data: item.Value, Etag: &daprv1.Etag{Value: item.ETag}}
	if !item.ExpiresAt.IsZero() {
		resp.Metadata = map[string]string{"ttlExpireTime": item.ExpiresAt.Format(time.RFC3339Nano)}
	}
	return resp, nil
}

func (s *stateServer) Get(ctx context.Context, r *daprv1.GetRequest) (*daprv1.GetResponse, error) {
	return s.get(ctx, r)
}

func (s *stateServer) BulkGet(ctx context.Context, r *daprv1.BulkGetRequest) (*daprv1.BulkGetResponse, error) {
	if s.noBulk {
		return nil, status.Error(codes.Unimplemented, "no bulk here")
	}
	out := new(daprv1.BulkGetResponse)
	for _, item := range r.GetItems() {
		one, err := s.get(ctx, item)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, &daprv1.BulkStateItem{Key: item.GetKey(), Data: one.GetData(), Etag: one.GetEtag(), Metadata: one.GetMetadata()})
	}
	return out, nil
}

func setOp(r *daprv1.SetRequest) state.Op {
	seconds, _ := strconv.Atoi(r.GetMetadata()["ttlInSeconds"])
	return state.Op{
		Key: r.GetKey(), Value: r.GetValue(), ETag: r.GetEtag().GetValue(), HasETag: r.GetEtag() != nil,
		TTL: time.Duration(seconds) * time.Second, Options: stateOptions(r.GetOptions()),
	}
}

func deleteOp(r *daprv1.DeleteRequest) state.Op {
	return state.Op{Key: r.GetKey(), Delete: true, ETag: r.GetEtag().GetValue(), HasETag: r.GetEtag() != nil, Options: stateOptions(r.GetOptions())}
}

func stateOptions(o *daprv1.StateOptions) state.Options {
	concurrency := map[daprv1.StateOptions_StateConcurrency]state.Concurrency{
		daprv1.StateOptions_CONCURRENCY_FIRST_WRITE: state.FirstWrite, daprv1.StateOptions_CONCURRENCY_LAST_WRITE: state.LastWrite,
	}
	consistency := map[daprv1.StateOptions_StateConsistency]state.Consistency{
		daprv1.StateOptions_CONSISTENCY_EVENTUAL: state.Eventual, daprv1.StateOptions_CONSISTENCY_STRONG: state.Strong,
	}
	return state.Options{Concurrency: concurrency[o.GetConcurrency()], Consistency: consistency[o.GetConsistency()]}
}

func (s *stateServer) Set(ctx context.Context, r *daprv1.SetRequest) (*daprv1.SetResponse, error) {
	return &daprv1.SetResponse{}, stateStatus(s.store.Write(ctx, setOp(r)))
}

func (s *stateServer) Delete(ctx context.Context, r *daprv1.DeleteRequest) (*daprv1.DeleteResponse, error) {
	return &daprv1.DeleteResponse{}, stateStatus(s.store.Write(ctx, deleteOp(r)))
}

func (s *stateServer) Transact(ctx context.Context, r *daprv1.TransactionalStateRequest) (*daprv1.TransactionalStateResponse, error) {
	var ops []state.Op
	for _, o := range r.GetOperations() {
		if set := o.GetSet(); set != nil {
			ops = append(ops, setOp(set))
		} else {
			ops = append(ops, deleteOp(o.GetDelete()))
		}
	}
	return &daprv1.TransactionalStateResponse{}, stateStatus(s.store.Transact(ctx, ops))
}

func TestState(t *testing.T) {
	t.Parallel()
	p := start(t, newStateServer(t).register)
	rows := p.rows().States
	statetest.Run(t, statetest.Options{
		New:     func(t *testing.T) state.Store { return open(t, rows, nil) },
		TTLUnit: time.Second, Keys: utf8.ValidString,
	})
}

func TestStateWithoutBulk(t *testing.T) {
	server := newStateServer(t)
	server.noBulk = true
	s := open(t, start(t, server.register).rows().States, nil)
	defer func() { _ = s.Close() }()
	if err := s.Write(t.Context(), state.Op{Key: "a", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.(state.BulkGetter).BulkGet(t.Context(), []state.Get{{Key: "a"}, {Key: ""}, {Key: "b"}, {Key: "a"}})
		if err != nil || len(got) != 4 || string(got[0].Item.Value) != "x" || !errors.Is(got[1].Err, state.ErrInvalid) || got[2].Item != nil || string(got[3].Item.Value) != "x" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

// A component that is killed is down, and goes on when it is back, after it was
// initialised again with the same settings.
func TestStateRestart(t *testing.T) {
	t.Parallel()
	server := newStateServer(t)
	p := start(t, server.register)
	s := open(t, p.rows().States, map[string]any{"host": "h", "limit": 5, "on": true})
	defer func() { _ = s.Close() }()
	check := s.(components.Checker).Check
	if err := check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), state.Op{Key: "a", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 2; round++ {
		p.kill()
		eventually(t, "a killed component is down", func() error {
			if check(t.Context()) == nil {
				return errors.New("it is up")
			}
			return nil
		})
		_, err := s.Get(t.Context(), state.Get{Key: "a"})
		wantError(t, err, p.path)
		p.up()
		eventually(t, "a component that is back is up", func() error { return check(t.Context()) })
		item, err := s.Get(t.Context(), state.Get{Key: "a"})
		if err != nil || string(item.Value) != "x" {
			t.Fatalf("%v, %v", item, err)
		}
		if n := server.count(); n != round+1 {
			t.Errorf("initialised %d times after %d restarts", n, round)
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.settings["host"] != "h" || server.settings["limit"] != "5" || server.settings["on"] != "true" || server.instance != "mine" {
		t.Errorf("initialised with %v for %q", server.settings, server.instance)
	}
}

// What Init and Ping say is told, but no secret.
func TestStateErrors(t *testing.T) {
	t.Parallel()
	server := newStateServer(t)
	p := start(t, server.register)
	rows := p.rows().States
	s := open(t, rows, nil)
	defer func() { _ = s.Close() }()
	server.mu.Lock()
	server.fail = status.Error(codes.Unauthenticated, "hunter2 and token123 are wrong")
	server.mu.Unlock()
	err := s.(components.Checker).Check(t.Context())
	wantError(t, err, p.path, "Unauthenticated", "are wrong")
	_, err = tryOpen(t, rows, components.Config{
		Metadata: map[string]any{"password": "hunter2", "word": "token123"},
		Refs:     components.Refs{Secrets: []components.SecretRef{{StoreName: "s", Key: "k", InjectAs: "word"}}},
	})
	wantError(t, err, p.path, "are wrong")
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "token123") {
		t.Errorf("a secret is in the error: %v", err)
	}
}
