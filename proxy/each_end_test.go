package proxy_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The host is asked, and never answers: the caller is told when the route's
// time is over, and so is the host.
func TestEachTimeout(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		gone := make(chan time.Time, 1)
		r := p.Start(t, 3*time.Second, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			gone <- time.Now()
			return nil, ctx.Err()
		}))
		c := r.Caller(t)
		for i := range 2 { // the caller's connection lives on
			begin := time.Now()
			resp, err := c.Handle(t.Context(), p.Request("/", nil, 0))
			must(t, err)
			if d, says := time.Since(begin), p.Says(resp); d != 3*time.Second || says != p.Fails(stream.Timeout) {
				t.Errorf("%s after %v", says, d)
			}
			_ = whole(t, resp)
			if d := (<-gone).Sub(begin); d > 3*time.Second+soon {
				t.Errorf("the host was told after %v", d)
			}
			if rec := r.Record(t, i+1, 504, stream.Timeout); rec.Duration != 3*time.Second {
				t.Errorf("record %+v", rec)
			}
		}
	})
}

// A host that takes the connection and nothing else, whatever is sent to it.
func TestEachDeafHost(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		r := p.Start(t, 3*time.Second, nil)
		r.Network.Host("host:1", func(c net.Conn) {
			<-t.Context().Done()
			_ = c.Close()
		})
		body := NewPattern(64 << 20)
		time.AfterFunc(2*time.Second, func() { // later, what comes is thrown away
			if given := body.Given(); given > inBetween {
				t.Errorf("%d bytes went in", given)
			}
		})
		begin := time.Now()
		resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", body, -1))
		must(t, err)
		if d, says := time.Since(begin), p.Says(resp); d != 3*time.Second || says != p.Fails(stream.Timeout) {
			t.Errorf("%s after %v", says, d)
		}
		_ = whole(t, resp)
		r.Record(t, 1, 504, stream.Timeout)
	})
}

// The time is for the whole exchange: an answer that stalls is cut, and one
// that was begun must not look whole.
func TestEachTimeoutInTheAnswer(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		r := p.Start(t, 3*time.Second, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			body, give := flow(ctx)
			go func() { _, _ = io.WriteString(give, "begun") }()
			return p.Answer(200, body, -1), nil
		}))
		begin := time.Now()
		resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", nil, 0))
		must(t, err)
		b, err := all(resp.Body)
		if err == nil || b != "begun" || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %q, %v", time.Since(begin), b, err)
		}
		_ = resp.Close()
		if rec := r.Record(t, 1, 200, stream.Timeout); rec.BytesOut != 5 || rec.Duration != 3*time.Second {
			t.Errorf("record %+v", rec)
		}
	})
}

// A caller that takes the beginning of an answer and no more: it has as long as
// the route allows, and as a connection may stand still.
func TestEachDeafCaller(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		for _, tc := range []struct {
			timeout, least, most time.Duration
			failure              stream.Kind
		}{
			{3 * time.Second, 3 * time.Second, 3 * time.Second, stream.Timeout},
			{time.Hour, 60 * time.Second, 90 * time.Second, stream.Canceled},
		} {
			gone := make(chan time.Time, 1)
			r := p.Start(t, tc.timeout, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
				context.AfterFunc(ctx, func() { gone <- time.Now() })
				return p.Answer(200, NewPattern(64<<20), -1), nil
			}))
			begin := time.Now()
			resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", nil, 0))
			must(t, err)
			take(t, resp.Body, 1)
			if d := (<-gone).Sub(begin); d < tc.least || d > tc.most+soon {
				t.Errorf("the host was told after %v", d)
			}
			synctest.Wait()
			if rec := r.Record(t, 1, 200, tc.failure); rec.Duration < tc.least || rec.Duration > tc.most {
				t.Errorf("record %+v", rec)
			}
			if n, err := CheckPattern(resp.Body, 1); err == nil || n > inBetween {
				t.Errorf("the caller got %d bytes, %v", n, err)
			}
			_ = resp.Close()
		}
	})
}

func TestEachRefused(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		r := p.Start(t, 0, nil)
		begin := time.Now()
		resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", strings.NewReader("hello"), 5))
		must(t, err)
		if d, says := time.Since(begin), p.Says(resp); d != 0 || says != p.Fails(stream.Connect) {
			t.Errorf("%s after %v", says, d)
		}
		_ = whole(t, resp)
		if rec := r.Record(t, 1, 503, stream.Connect); rec.Host != "host:1" {
			t.Errorf("record %+v", rec)
		}
	})
}

// The caller loses interest before there is an answer.
func TestEachCancelBeforeTheAnswer(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		gone := make(chan time.Time, 1)
		r := p.Start(t, 0, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			<-ctx.Done()
			gone <- time.Now()
			return nil, ctx.Err()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		_, err := r.Caller(t).Handle(ctx, p.Request("/", nil, 0))
		if e := stream.AsError(err); err == nil || e.Kind != stream.Canceled || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if d := (<-gone).Sub(begin); d > time.Second+soon {
			t.Errorf("the host was told after %v", d)
		}
		r.Record(t, 1, 499, stream.Canceled)
	})
}

// The caller loses interest in the middle of the answer: it closes it, or its
// context ends while it waits for more.
func TestEachCancelInTheAnswer(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		gone := make(chan time.Time, 1)
		r := p.Start(t, 0, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
			body, give := flow(ctx)
			go func() {
				_, _ = io.WriteString(give, "begun")
				<-ctx.Done()
				gone <- time.Now()
			}()
			return p.Answer(200, body, -1), nil
		}))
		for i := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := r.Caller(t).Handle(ctx, p.Request("/", nil, 0))
			must(t, err)
			if got := take(t, resp.Body, 5); got != "begun" {
				t.Errorf("got %q", got)
			}
			begin := time.Now()
			time.AfterFunc(time.Second, cancel)
			if i == 0 {
				time.Sleep(time.Second)
			} else if n, err := resp.Body.Read(make([]byte, 1)); n > 0 || err == nil || stream.AsError(err).Kind != stream.Canceled {
				t.Errorf("read %d bytes, %v", n, err)
			}
			_ = resp.Close()
			if d := (<-gone).Sub(begin); d > time.Second+soon {
				t.Errorf("%d: the host was told after %v", i, d)
			}
			cancel()
			r.Record(t, i+1, 200, stream.Canceled, stream.Reset)
		}
	})
}

// The caller loses interest while it sends: the host must not take what it has
// for the whole.
func TestEachCancelInTheRequest(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		if !p.Streams {
			t.Skip("bodies do not stream")
		}
		type end struct {
			body string
			err  error
			at   time.Time
		}
		ended := make(chan end, 1)
		r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			b, err := all(req.Body)
			ended <- end{b, err, time.Now()}
			return nil, err
		}))
		for i, length := range []int64{-1, 100} {
			ctx, cancel := context.WithCancel(t.Context())
			body, give := io.Pipe()
			go func() {
				_, _ = io.WriteString(give, "begun")
				time.Sleep(time.Second)
				cancel()
			}()
			begin := time.Now()
			if _, err := r.Caller(t).Handle(ctx, p.Request("/", body, length)); err == nil {
				t.Error("there is an answer")
			}
			if e := <-ended; e.body != "begun" || e.err == nil || e.at.Sub(begin) > time.Second+soon {
				t.Errorf("the host got %q, %v after %v", e.body, e.err, e.at.Sub(begin))
			}
			if rec := r.Records.Last(t, i+1); rec.Err == nil || rec.BytesIn != 5 {
				t.Errorf("record %+v", rec)
			}
		}
	})
}
