package frame_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// ready is a body at hand.
type ready struct{ *strings.Reader }

func (ready) Close() error { return nil }
func (ready) Ready() bool  { return true }

// What filters do to a request and its answer reaches the other side; what they
// leave alone goes on as it came, even what only the frame can say.
func TestChanges(t *testing.T) {
	const question, reply = "T?\x2a\x00\x09\x03\x00\x00\x00\x05s.mhello", "T=\x00\x00\x09\x02\x00\x00\x00\x05r.world"
	for _, c := range []struct {
		name     string
		request  func(*stream.Request)
		response func(*stream.Response)
		asked    string // what the host gets, with id 1
		answered string // what the caller gets
	}{
		{name: "nothing", asked: question, answered: reply}, // byte 2 of a request, the name in an answer
		{name: "header", request: func(r *stream.Request) { r.Header.Set("service", "other") }, asked: "T?\x00\x00\x09\x07\x00\x00\x00\x05other.mhello", answered: reply},
		{name: "same header", request: func(r *stream.Request) { r.Header.Set("service", strings.Clone("s")) }, asked: question, answered: reply},
		{name: "one more field", request: func(r *stream.Request) { r.Header.Add("x", "y") }, asked: "T?\x00\x00\x09\x03\x00\x00\x00\x05s.mhello", answered: reply},
		{name: "method", request: func(r *stream.Request) { r.Method = "n" }, asked: "T?\x00\x00\x09\x03\x00\x00\x00\x05s.nhello", answered: reply},
		{name: "body", request: func(r *stream.Request) { r.Body = ready{strings.NewReader("other")} }, asked: "T?\x2a\x00\x09\x03\x00\x00\x00\x05s.mother", answered: reply},
		{name: "slow body", request: func(r *stream.Request) { r.Body = &slow{"later"} }, asked: "T?\x2a\x00\x09\x03\x00\x00\x00\x05s.mlater", answered: reply},
		{
			name: "length", request: func(r *stream.Request) { r.Body, r.ContentLength = ready{strings.NewReader("longer")}, 6 },
			asked: "T?\x00\x00\x09\x03\x00\x00\x00\x06s.mlonger", answered: reply,
		},
		{
			name: "length not said", request: func(r *stream.Request) { r.Body, r.ContentLength = &slow{"abc"}, -1 },
			asked: "T?\x00\x00\x09\x03\x00\x00\x00\x03s.mabc", answered: reply,
		},
		{name: "no body", request: func(r *stream.Request) { r.Body, r.ContentLength = nil, 0 }, asked: "T?\x00\x00\x09\x03\x00\x00\x00\x00s.m", answered: reply},
		{name: "one-way", request: func(r *stream.Request) { r.OneWay = true }, asked: "T!\x00\x00\x09\x03\x00\x00\x00\x05s.mhello", answered: "T=\x00\x00\x09\x00\x00\x00\x00\x00"},
		{name: "status", response: func(r *stream.Response) { r.Status = 503 }, asked: question, answered: "T=\x03\x00\x09\x00\x00\x00\x00\x05world"},
		{name: "field", response: func(r *stream.Response) { r.Header.Add("x", "y") }, asked: question, answered: "T=\x00\x00\x09\x00\x00\x00\x00\x05world"},
		{name: "answer's body", response: func(r *stream.Response) { swap(r, "earth", 5) }, asked: question, answered: "T=\x00\x00\x09\x02\x00\x00\x00\x05r.earth"},
		{name: "answer's length", response: func(r *stream.Response) { swap(r, "all", -1) }, asked: question, answered: "T=\x00\x00\x09\x00\x00\x00\x00\x03all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := conn.NewPipe("proxy", "host")
				cl := frame.New(toy{}, frame.Options{HeartbeatInterval: -1}).NewClient(conn.New(near), protocol.ClientOptions{})
				r := serve(t, rigOptions{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					if c.request != nil {
						c.request(req)
					}
					resp, err := cl.Handle(ctx, req)
					if err == nil && c.response != nil {
						c.response(resp)
					}
					return resp, err
				})
				r.send([]byte(question))
				got := make([]byte, len(c.asked))
				if _, err := io.ReadFull(far, got); err != nil {
					t.Fatal(err)
				}
				if got[4] = 9; string(got) != c.asked {
					t.Errorf("the host gets\n%q, want\n%q", got, c.asked)
				}
				if got[1] == '?' {
					_, _ = far.Write([]byte(strings.Replace(reply, "\x09", "\x01", 1)))
				}
				r.expect([]byte(c.answered))
				_ = cl.Close()
				_ = far.Close()
			})
		})
	}
}

// swap puts another body in place of an answer's.
func swap(r *stream.Response, body string, length int64) {
	r.Body, r.ContentLength = instead{strings.NewReader(body), r.Body}, length
}

type instead struct {
	*strings.Reader
	io.Closer
}

// A client that reads no further because answers are not taken is not deceived
// about the host, and goes on when they are.
func TestAnswersThatAreNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := conn.NewPipe("client", "host")
		cl := frame.New(toy{}, frame.Options{MaxHeld: 1500}).NewClient(conn.New(near), protocol.ClientOptions{})
		host := serveOn(t, far, echo)
		payload := strings.Repeat("x", 1000)
		ask := func() *stream.Response {
			resp, err := cl.Handle(t.Context(), request(ready{strings.NewReader(payload)}, 1000))
			if err != nil {
				t.Error(err)
			}
			return resp
		}
		first := ask()
		second := make(chan *stream.Response, 1)
		go func() { second <- ask() }()
		time.Sleep(time.Hour)
		select {
		case <-second:
			t.Error("the second answer is taken while the first fills what may be held")
		default:
		}
		if err := cl.Err(); err != nil {
			t.Error(err)
		}
		_ = first.Close()
		resp := <-second
		if b, err := io.ReadAll(resp.Body); string(b) != payload || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		_ = resp.Close()
		_ = cl.Close()
		host.Wait()
	})
}

// serveOn has h answer a connection until its end.
func serveOn(t *testing.T, nc net.Conn, h stream.HandlerFunc) *sync.WaitGroup {
	t.Helper()
	srv, err := frame.New(toy{}, frame.Options{}).NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wg := new(sync.WaitGroup)
	wg.Go(func() {
		_ = srv.ServeConn(t.Context(), conn.New(nc), h)
		_ = nc.Close()
	})
	return wg
}

// sizeless is a codec that never says how large a frame is.
type sizeless struct{ toy }

func (sizeless) Size([]byte) (int, error) { return 0, nil }

func TestFrameWithoutSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := conn.NewPipe("client", "host")
		cl := frame.New(sizeless{}, frame.Options{HeartbeatInterval: -1}).NewClient(conn.New(near), protocol.ClientOptions{})
		_, _ = far.Write(make([]byte, 10<<10))
		synctest.Wait()
		if err := cl.Err(); err == nil || !strings.Contains(err.Error(), "a head without a size") {
			t.Errorf("the connection is %v", err)
		}
		_ = cl.Close()
		_ = far.Close()
	})
}
