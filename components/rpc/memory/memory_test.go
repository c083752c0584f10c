package memory_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/rpc/memory"
	"github.com/ottavo-runtime/ottavo/components/rpc/rpctest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSuite: the reference has every feature.
func TestSuite(t *testing.T) {
	matrix.Backend(t, "rpc", "memory")
	rpctest.Run(t, rpctest.Options{
		FakeTime: true,
		Features: rpctest.All(),
		Open: func(_ *testing.T, s rpctest.Setup) rpctest.Peer {
			service := func(ctx context.Context, call *rpc.Request) (*rpc.Response, error) { return s.Service(ctx, call), nil }
			return rpctest.Peer{
				Invoker: memory.New(memory.Options{
					Services:  map[string]memory.Service{rpctest.Known: service},
					Targets:   map[string]memory.Service{"here:80": service},
					Callbacks: s.Callbacks,
				}),
				Target: "here:80", Refused: "nowhere:80",
			}
		},
	})
}

// What a service says becomes the caller's answer or error.
func TestAnswers(t *testing.T) {
	plain := errors.New("sorry")
	coded := &rpc.Error{Code: rpc.TooLarge, Response: &rpc.Response{Status: 413}, Msg: "too much"}
	for name, tt := range map[string]struct {
		service memory.Service
		code    rpc.Code
		want    string // in the error; "": none
		is      error
	}{
		"nothing":        {service: func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, nil }},
		"a plain error":  {func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, plain }, rpc.Internal, `"s"`, plain},
		"a coded error":  {func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, coded }, rpc.TooLarge, "too much", nil},
		"a panic":        {func(context.Context, *rpc.Request) (*rpc.Response, error) { panic("oops") }, rpc.Internal, "oops", nil},
		"a status":       {func(context.Context, *rpc.Request) (*rpc.Response, error) { return &rpc.Response{Status: 404}, nil }, rpc.Status, "404", nil},
		"an error of it": {func(context.Context, *rpc.Request) (*rpc.Response, error) { return nil, context.Canceled }, rpc.Internal, "canceled", nil},
	} {
		inv := memory.New(memory.Options{Services: map[string]memory.Service{"s": tt.service}})
		resp, err := inv.Invoke(t.Context(), &rpc.Request{ID: "s"})
		if tt.want == "" {
			if err != nil || resp.Status != 200 || resp.Data != nil {
				t.Errorf("%s: %+v, %v", name, resp, err)
			}
			continue
		}
		e, ok := rpc.AsError(err)
		if !ok || resp != nil || e.Code != tt.code || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %+v, %v", name, resp, err)
		}
		if e == coded || ok && e.Response != nil && e.Response == coded.Response {
			t.Errorf("%s: the error is the service's own", name)
		}
	}
}

// The content type stands in the header, too, once.
func TestContentType(t *testing.T) {
	for name, said := range map[string]rpc.Response{
		"field":  {ContentType: "text/plain"},
		"header": {Header: []rpc.Pair{{Name: "content-type", Value: "text/plain"}}},
		"both":   {ContentType: "text/plain", Header: []rpc.Pair{{Name: "content-type", Value: "text/html"}}},
	} {
		inv := memory.New(memory.Options{Services: map[string]memory.Service{
			"s": func(context.Context, *rpc.Request) (*rpc.Response, error) { return &said, nil },
		}})
		resp, err := inv.Invoke(t.Context(), &rpc.Request{ID: "s"})
		if err != nil || resp.ContentType != "text/plain" || len(resp.Header) != 1 || resp.Header[0].Value != "text/plain" {
			t.Errorf("%s: %+v, %v", name, resp, err)
		}
	}
}

// A call without a timeout of its own has the invoker's, and a caller does not wait
// for a service that does not end.
func TestTimeout(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: memory.DefaultTimeout, time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			stubborn := make(chan struct{})
			inv := memory.New(memory.Options{Timeout: set, Services: map[string]memory.Service{
				"s": func(context.Context, *rpc.Request) (*rpc.Response, error) { <-stubborn; return nil, nil },
			}})
			began := time.Now()
			_, err := inv.Invoke(t.Context(), &rpc.Request{ID: "s"})
			if e, ok := rpc.AsError(err); !ok || e.Code != rpc.Timeout || time.Since(began) != want {
				t.Errorf("%v after %s, want a timeout after %s", err, time.Since(began), want)
			}
			close(stubborn)
		})
	}
}
