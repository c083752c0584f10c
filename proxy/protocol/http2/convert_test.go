package http2

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// hop is one step of a way: a client of a protocol, and its server with h behind it.
func hop(ctx context.Context, t testing.TB, p protocol.Protocol, h stream.Handler) stream.Handler {
	a, b := conn.Pipe()
	srv, err := p.NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := conn.New(b)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeConn(ctx, c, h)
		_ = c.Close()
	}()
	cl := p.NewClient(conn.New(a), protocol.ClientOptions{})
	t.Cleanup(func() { _ = cl.Close(); cancel(); <-done })
	return cl
}

var ways = map[string][2]protocol.Protocol{
	"1 to 2": {http1.Protocol{}, Protocol{}},
	"2 to 1": {Protocol{}, http1.Protocol{}},
	"2 to 2": {Protocol{}, Protocol{}},
}

// eachWay runs f with a caller that reaches h through a proxy that speaks one
// protocol in front and another behind. Each request has connections of its
// own: HTTP/1 ends one on which an answer overtook the request's body.
func eachWay(t *testing.T, h stream.HandlerFunc, f func(t *testing.T, front stream.Handler)) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					return hop(ctx, t, way[0], hop(ctx, t, way[1], handlerFunc(h))).Handle(ctx, req)
				}))
			})
		})
	}
}

func TestConversion(t *testing.T) {
	eachWay(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if req.Path == "/facts" {
			resp := answer(201, fmt.Sprintf("%s %s %s?%s %v %q %d", req.Method, req.Authority, req.Path, req.Query, req.HasQuery, req.Header.Get("x-many"), req.ContentLength))
			resp.Header.Add("Set-Cookie", "a=1")
			resp.Header.Add("Set-Cookie", "b=2")
			return resp, nil
		}
		return echo(ctx, req)
	}, func(t *testing.T, front stream.Handler) {
		req := get("/facts")
		req.Query, req.HasQuery = "a=b", true
		req.Header.Add("X-Many", "v")
		resp, err := front.Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if want := `GET example.com /facts?a=b true "v" 0`; string(body) != want || err != nil || resp.Status != 201 || resp.ContentLength != int64(len(want)) {
			t.Errorf("%d %d %s %v", resp.Status, resp.ContentLength, body, err)
		}
		var cookies []string
		for v := range resp.Header.Values("set-cookie") {
			cookies = append(cookies, v)
		}
		if fmt.Sprint(cookies) != "[a=1 b=2]" {
			t.Error(cookies)
		}
		_ = resp.Close()

		long := strings.Repeat("0123456789", 100000)
		req = post("/", int64(len(long)), strings.NewReader(long))
		if _, body, _ := fetch(t, front, req); body != long {
			t.Error(len(body))
		}
		req = post("/", -1, strings.NewReader(long))
		req.Trailer.Add("X-Sum", "42")
		_, got, trailer := fetch(t, front, req)
		if got != long || len(trailer) != 1 || trailer["x-sum"]+trailer["X-Sum"] != "42" {
			t.Error(len(got), trailer)
		}
		if _, got, _ := fetch(t, front, post("/", 0, strings.NewReader(""))); got != "POST /? " && got != "" {
			t.Error(got)
		}
		req = get("/facts")
		req.Method = "HEAD"
		resp, err = front.Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); len(body) > 0 || err != nil || resp.ContentLength != 35 {
			t.Error(resp.ContentLength, body, err)
		}
		_ = resp.Close()
	})
}

// A message of an answer arrives before the next is sent.
func TestConversionStreams(t *testing.T) {
	eachWay(t, func(_ context.Context, _ *stream.Request) (*stream.Response, error) {
		return &stream.Response{Status: 200, ContentLength: -1, Body: &ticks{}}, nil
	}, func(t *testing.T, front stream.Handler) {
		start := time.Now()
		resp, err := front.Handle(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Close() }()
		var buf [100]byte
		for i := range 5 {
			n, err := resp.Body.Read(buf[:])
			if err != nil || string(buf[:n]) != "tick" || time.Since(start) != time.Duration(i+1)*time.Second {
				t.Fatal(i, string(buf[:n]), err, time.Since(start))
			}
		}
	})
}

// ticks is a body with a word a second.
type ticks struct{}

func (*ticks) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return copy(p, "tick"), nil
}

func (*ticks) Close() error { return nil }

// The caller's end reaches the last handler.
func TestConversionCancel(t *testing.T) {
	ended := make(chan struct{}, 3)
	eachWay(t, func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
		<-ctx.Done()
		ended <- struct{}{}
		return nil, stream.FromContext(ctx, "wait")
	}, func(t *testing.T, front stream.Handler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := front.Handle(ctx, get("/"))
		if e := stream.AsError(err); err == nil || e.Kind != stream.Timeout {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the handler was not told")
		}
	})
}
