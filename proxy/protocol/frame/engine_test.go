package frame_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// ask is a frame of the toy protocol.
func ask(kind byte, id uint16, text string) []byte {
	f := []byte{'T', kind, 0, 0, 0, 3, 0, 0, 0, 0, 's', '.', 'm'}
	if kind == '=' || kind == 'p' || kind == 'q' {
		f[5] = 0
		f = f[:10]
	}
	binary.BigEndian.PutUint16(f[3:], id)
	binary.BigEndian.PutUint32(f[6:], uint32(len(text)))
	return append(f, text...)
}

// rig is a connection to a server.
type rig struct {
	t    *testing.T
	near *conn.PipeConn
	conn *conn.Conn
	over chan error
}

type rigOptions struct {
	protocol.ServerOptions
	writeTimeout time.Duration
}

func serve(t *testing.T, opts rigOptions, h stream.HandlerFunc) *rig {
	t.Helper()
	srv, err := frame.New(toy{}, frame.Options{}).NewServer(opts.ServerOptions)
	if err != nil {
		t.Fatal(err)
	}
	near, far := conn.NewPipe("caller", "server")
	r := &rig{t, near, conn.New(far), make(chan error, 1)}
	r.conn.Timeout = opts.writeTimeout
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := srv.ServeConn(ctx, r.conn, h)
		_ = r.conn.Close()
		r.conn.Free()
		r.over <- err
	})
	t.Cleanup(func() {
		_ = near.Close()
		cancel()
		wg.Wait()
	})
	return r
}

func (r *rig) send(frames ...[]byte) {
	r.t.Helper()
	if _, err := r.near.Write(slices.Concat(frames...)); err != nil {
		r.t.Fatal(err)
	}
}

// expect reads a frame.
func (r *rig) expect(want []byte) {
	r.t.Helper()
	got := make([]byte, len(want))
	_ = r.near.SetReadDeadline(time.Now().Add(time.Hour))
	if n, err := io.ReadFull(r.near, got); err != nil || !bytes.Equal(got, want) {
		r.t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

// ended waits for the end of the connection, and returns when it came.
func (r *rig) ended() time.Duration {
	r.t.Helper()
	start := time.Now()
	_ = r.near.SetReadDeadline(start.Add(24 * time.Hour))
	if n, err := r.near.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		r.t.Fatalf("%d bytes, %v; want the end", n, err)
	}
	return time.Since(start)
}

// slow is a body that comes bit by bit: of another protocol.
type slow struct{ left string }

func (s *slow) Read(p []byte) (int, error) {
	if s.left == "" {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := copy(p[:1], s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *slow) Close() error { return nil }

func text(s string) *stream.Response {
	return &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(s)), ContentLength: int64(len(s))}
}

func echo(_ context.Context, req *stream.Request) (*stream.Response, error) {
	b, err := io.ReadAll(req.Body)
	return text(string(b)), err
}

// What a handler may do, and what the caller is told.
func TestAnswers(t *testing.T) {
	failed := func(status byte, text string) []byte {
		f := ask('=', 7, text)
		f[2] = status
		return f
	}
	for _, c := range []struct {
		name string
		h    stream.HandlerFunc
		want []byte
	}{
		{"echo", echo, ask('=', 7, "hello")},
		{"no body", func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 204}, nil
		}, ask('=', 7, "")},
		{"none", func(context.Context, *stream.Request) (*stream.Response, error) { return stream.NoResponse, nil }, ask('=', 7, "")},
		{"slow body", func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: -1, Body: &slow{"one by one"}}, nil
		}, ask('=', 7, "one by one")},
		{"status", func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 503}, nil
		}, failed(3, "")},
		{"own status", func(context.Context, *stream.Request) (*stream.Response, error) {
			resp := &stream.Response{Status: 200}
			resp.Header.Add(frame.StatusField, "42")
			return resp, nil
		}, failed(42, "")},
		{"error", func(context.Context, *stream.Request) (*stream.Response, error) {
			return nil, &stream.Error{Kind: stream.Timeout}
		}, failed(4, "timeout")},
		{"panic", func(context.Context, *stream.Request) (*stream.Response, error) { panic("x") }, failed(99, "internal")},
		{"short body", func(context.Context, *stream.Request) (*stream.Response, error) {
			resp := text("x")
			resp.ContentLength = 5
			return resp, nil
		}, failed(2, "reset")},
		{"long body", func(context.Context, *stream.Request) (*stream.Response, error) {
			resp := text("hello")
			resp.ContentLength = 1
			return resp, nil
		}, failed(2, "reset")},
		{"broken body", func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: -1, Body: io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{}))}, nil
		}, failed(2, "reset")},
		{"huge body", func(context.Context, *stream.Request) (*stream.Response, error) {
			resp := text("")
			resp.ContentLength = 1 << 40
			return resp, nil
		}, failed(99, "too large")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := serve(t, rigOptions{}, c.h)
				for range 2 {
					r.send(ask('?', 7, "hello"))
					r.expect(c.want)
				}
			})
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// A request whose fields are malformed fails alone.
func TestMalformedFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serve(t, rigOptions{}, echo)
		bad := ask('?', 9, "hello")
		bad[11] = '_' // no dot in the name
		want := ask('=', 9, "bad message")
		want[2] = 99
		r.send(bad)
		r.expect(want)
		r.send(ask('?', 10, "hello"))
		r.expect(ask('=', 10, "hello"))
	})
}

// The ends of connections that are to end.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			time.Sleep(5 * time.Second)
			return echo(ctx, req)
		}
		// Idle.
		r := serve(t, rigOptions{ServerOptions: protocol.ServerOptions{IdleTimeout: 10 * time.Second}}, slowly)
		r.send(ask('?', 1, "x"))
		r.expect(ask('=', 1, "x"))
		for range 3 { // a heartbeat keeps it alive
			time.Sleep(9 * time.Second)
			r.send(ask('p', 1, ""))
			r.expect(ask('q', 1, ""))
		}
		if took := r.ended(); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("ended after %v", took)
		}
		if err := <-r.over; err != nil || r.conn.Cause() != conn.IdleTimeout {
			t.Errorf("idle: %v, %v", err, r.conn.Cause())
		}
		// A request under way is not idle.
		r = serve(t, rigOptions{ServerOptions: protocol.ServerOptions{IdleTimeout: time.Second}}, slowly)
		r.send(ask('?', 1, "x"))
		time.Sleep(4 * time.Second)
		r.send(ask('?', 2, "y"))
		r.expect(ask('=', 1, "x"))
		r.expect(ask('=', 2, "y"))
		// Drained: requests under way finish, one that is being sent is served.
		for _, quiet := range []time.Duration{0, time.Minute} {
			r = serve(t, rigOptions{}, slowly)
			r.send(ask('?', 1, "x"))
			r.expect(ask('=', 1, "x"))
			time.Sleep(quiet)
			r.send(ask('?', 2, "y"))
			time.Sleep(time.Second)
			r.conn.Drain()
			time.Sleep(time.Second)
			r.send(ask('?', 3, "z"))
			r.expect(ask('=', 2, "y"))
			r.expect(ask('=', 3, "z"))
			if took := r.ended(); took > 3*time.Second {
				t.Errorf("drained after %v", took)
			}
			if err := <-r.over; err != nil || r.conn.Cause() != conn.Drained {
				t.Errorf("drained: %v, %v", err, r.conn.Cause())
			}
		}
		// The caller goes: its requests are canceled.
		canceled := make(chan error, 1)
		r = serve(t, rigOptions{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			canceled <- ctx.Err()
			return nil, stream.FromContext(ctx, "test")
		})
		r.send(ask('?', 1, "x"))
		synctest.Wait()
		_ = r.near.Close()
		if err := <-canceled; err == nil {
			t.Error("not canceled")
		}
		if err := <-r.over; err != nil {
			t.Error(err)
		}
	})
}

// pool is a pool of clients whose host is a server with h.
func pool(t testing.TB, opts frame.Options, h stream.HandlerFunc, dials *atomic.Int32) upstream.Sender {
	srv, err := frame.New(toy{}, frame.Options{}).NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	p := upstream.New(upstream.PoolOptions{
		Name: "host", Protocol: frame.New(toy{}, opts), ConnectTimeout: time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			dials.Add(1)
			near, far := conn.NewPipe("proxy", "host")
			wg.Go(func() {
				c := conn.New(far)
				_ = srv.ServeConn(ctx, c, h)
				_ = c.Close()
				c.Free()
			})
			return near, nil
		},
	})
	t.Cleanup(func() {
		p.Close()
		cancel()
		wg.Wait()
	})
	return p
}

func request(body io.ReadCloser, length int64) *stream.Request {
	req := &stream.Request{Method: "m", Body: body, ContentLength: length}
	req.Header.Add("service", "s")
	return req
}

// Rows E2, I4, I5: how many connections 100 parallel calls take.
func TestPoolModes(t *testing.T) {
	for _, c := range []struct {
		opts frame.Options
		want int32
	}{{frame.Options{}, 1}, {frame.Options{MaxInFlight: 25}, 4}, {frame.Options{PingPong: true}, 100}} {
		synctest.Test(t, func(t *testing.T) {
			var dials atomic.Int32
			p := pool(t, c.opts, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				time.Sleep(time.Second)
				return echo(ctx, req)
			}, &dials)
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					resp, err := p.Handle(t.Context(), request(&slow{"ab"}, -1))
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := io.ReadAll(resp.Body); string(b) != "ab" || err != nil {
						t.Errorf("%q, %v", b, err)
					}
					_ = resp.Close()
				})
			}
			wg.Wait()
			if n := dials.Load(); n != c.want {
				t.Errorf("%+v: %d connections, want %d", c.opts, n, c.want)
			}
		})
	}
}

// A request that cannot be sent as a frame fails alone, before anything is sent.
func TestUnsendable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		p := pool(t, frame.Options{MaxFrame: 2000}, echo, &dials)
		for name, req := range map[string]*stream.Request{
			"long name": {Method: strings.Repeat("m", 300)},
			"broken":    request(io.NopCloser(broken{}), -1),
			"short":     request(io.NopCloser(strings.NewReader("x")), 2),
			"long":      request(io.NopCloser(strings.NewReader("xyz")), 2),
			"huge":      request(io.NopCloser(strings.NewReader(strings.Repeat("x", 3000))), -1),
		} {
			resp, err := p.Handle(t.Context(), req)
			if resp != nil || err == nil || stream.AsError(err).Side == stream.Upstream {
				t.Errorf("%s: %v, %v", name, resp, err)
			}
		}
		resp, err := p.Handle(t.Context(), request(io.NopCloser(strings.NewReader("x")), 1))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Close()
		if dials.Load() != 1 {
			t.Errorf("%d connections", dials.Load())
		}
	})
}
