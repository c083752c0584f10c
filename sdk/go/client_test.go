package ottavo_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestSayHello(t *testing.T) {
	f, client := serve(t)
	f.answer = &runtimev1.SayHelloResponse{Hello: "hi, eva"}
	got, err := client.SayHello(timeout(t), "helloworld", "eva")
	if err != nil || got != "hi, eva" {
		t.Errorf("%q, %v", got, err)
	}
	f.wantSent(t, &runtimev1.SayHelloRequest{ServiceName: "helloworld", Name: "eva"})
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, &fake{answer: &runtimev1.SayHelloResponse{Hello: "hi"}})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	client, err := ottavo.Dial("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing hangs on it here
	if got, err := client.SayHello(timeout(t), "x", ""); err != nil || got != "hi" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBadAddress(t *testing.T) {
	for _, address := range []string{"localhost", "http://[::1", "[::1]", "dns:///%zz"} {
		if c, err := ottavo.Dial(address); err == nil || !strings.Contains(err.Error(), `"`+address+`"`) || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("%s: %v, want an error with the address and the way out", address, err)
			if err == nil {
				_ = c.Close()
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	const address = "127.0.0.1:1" // where no server of anybody's is
	client, err := ottavo.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.SayHello(timeout(t), "x", "")
	if e, ok := errors.AsType[*ottavo.Error](err); !ok || e.Code != codes.Unavailable || e.Reason != "" || !strings.Contains(err.Error(), address) {
		t.Errorf("%v, want Unavailable with the address", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := client.SayHello(timeout(t), "x", ""); status.Code(err) != codes.Canceled {
		t.Errorf("after Close: %v, want Canceled", err)
	}
}

// A connection of the caller's is not closed.
func TestNew(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimev1.RegisterRuntimeServer(server, &fake{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing hangs on it here
	if err := ottavo.New(conn).Close(); err != nil {
		t.Error(err)
	}
	if _, err := ottavo.New(conn).API().SayHello(timeout(t), &runtimev1.SayHelloRequest{}); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	f, client := serve(t)
	targets := map[string]error{"ErrConflict": ottavo.ErrConflict, "DeadlineExceeded": context.DeadlineExceeded, "Canceled": context.Canceled}
	for name, c := range map[string]struct {
		err        error
		reason     string
		httpStatus int
		is         string
	}{
		"bare":            {status.Error(codes.Internal, "broken"), "", 0, ""},
		"with a reason":   {detailed(t, codes.InvalidArgument, "no store", "UNKNOWN_COMPONENT", map[string]string{"configured": "a, b"}), "UNKNOWN_COMPONENT", 0, ""},
		"service":         {detailed(t, codes.Unavailable, "http response code 404", "CALLEE_STATUS", map[string]string{"http.status": "404"}), "CALLEE_STATUS", 404, ""},
		"conflict":        {status.Error(codes.Aborted, "etag"), "", 0, "ErrConflict"},
		"conflict inside": {detailed(t, codes.Internal, "transaction", "ETAG_MISMATCH", nil), "ETAG_MISMATCH", 0, "ErrConflict"},
		"deadline":        {status.Error(codes.DeadlineExceeded, "late"), "", 0, "DeadlineExceeded"},
		"canceled":        {status.Error(codes.Canceled, "gone"), "", 0, "Canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			f.err = c.err
			_, err := client.SayHello(timeout(t), "x", "")
			e, ok := errors.AsType[*ottavo.Error](err)
			if !ok || e.Call != "SayHello" || e.Code != status.Code(c.err) || e.Message != status.Convert(c.err).Message() ||
				e.Reason != c.reason || e.HTTPStatus != c.httpStatus {
				t.Errorf("%#v", err)
			}
			if status.Code(err) != e.Code || !strings.Contains(err.Error(), e.Message) {
				t.Errorf("status.Code %v, Error %q", status.Code(err), err)
			}
			for name, target := range targets {
				if is := errors.Is(err, target); is != (name == c.is) {
					t.Errorf("errors.Is(err, %s) = %t", name, is)
				}
			}
		})
	}
}

func TestContextEndsACall(t *testing.T) {
	f, client := serve(t)
	f.hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.State("s").Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
}
