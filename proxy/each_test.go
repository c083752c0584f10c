package proxy_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// soon is how long the core may take to tell one side what the other did.
const soon = 100 * time.Millisecond

// inBetween is the most bytes that may be under way between a writer and a
// reader that stalls: the buffers of both connections, and of the core.
const inBetween = 1 << 20

type handler = stream.HandlerFunc

// all reads a body to its end; "" is no body.
func all(body io.Reader) (string, error) {
	if body == nil {
		return "", nil
	}
	b, err := io.ReadAll(body)
	return string(b), err
}

// take reads exactly n bytes.
func take(t testing.TB, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	must(t, err)
	return string(b)
}

// whole reads an answer to its end and ends the exchange.
func whole(t testing.TB, resp *stream.Response) string {
	t.Helper()
	b, err := all(resp.Body)
	must(t, err)
	must(t, resp.Close())
	return b
}

// flow is a body that is given piece by piece, until ctx ends.
func flow(ctx context.Context) (*io.PipeReader, *io.PipeWriter) {
	body, give := io.Pipe()
	context.AfterFunc(ctx, func() { _ = give.CloseWithError(ctx.Err()) })
	return body, give
}

// echo answers with what it was asked, after a second.
func echo(p Protocol) handler {
	return func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		b, err := all(req.Body)
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Second)
		b = req.Path + " " + b
		return p.Answer(200, strings.NewReader(b), int64(len(b))), nil
	}
}

func TestEachSimple(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			b, err := all(req.Body)
			if err != nil {
				return nil, err
			}
			got := fmt.Sprint(req.Method, req.Authority, req.Path, req.HasQuery, req.Query, Values(&req.Header, "x-a"), Values(&req.Header, "x-b"), b)
			if want := fmt.Sprint("POST", "pay", "/a%20b", true, "c=d", "1", "2|3", "hello"); got != want {
				t.Errorf("the host was asked %s, want %s", got, want)
			}
			resp := p.Answer(200, strings.NewReader("good bye"), 8)
			resp.Header.Add("x-c", "4")
			resp.Header.Add("x-d", "5")
			resp.Header.Add("x-d", "6")
			return resp, nil
		}))
		c := r.Caller(t)
		for i := range 3 { // on one connection
			req := p.Request("/a%20b", strings.NewReader("hello"), 5)
			req.Query, req.HasQuery = "c=d", true
			req.Header.Add("x-a", "1")
			req.Header.Add("x-b", "2")
			req.Header.Add("x-b", "3")
			resp, err := c.Handle(t.Context(), req)
			must(t, err)
			got := p.Says(resp) + Values(&resp.Header, "x-c") + Values(&resp.Header, "x-d")
			if got += whole(t, resp); got != "20045|6good bye" {
				t.Errorf("answered %q", got)
			}
			rec := r.Record(t, i+1, 200)
			if rec.BytesIn != 5 || rec.BytesOut != 8 || rec.Host != "host:1" || rec.Cluster != "c" || rec.Path != "/a%20b" || rec.Attempts != 1 {
				t.Errorf("record %+v", rec)
			}
		}
		if accepted := r.Status(t, "in").Accepted; accepted != 1 || r.Network.Dials("host:1") != 1 {
			t.Errorf("%d connections from the caller, %d to the host", accepted, r.Network.Dials("host:1"))
		}
	})
}

func TestEachTrailer(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		if !p.Streams {
			t.Skip("the protocol has no trailers")
		}
		r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			b, err := all(req.Body)
			if err != nil || b != "hello" || req.Trailer.Get("x-sum") != "1" || req.ContentLength != -1 {
				t.Errorf("the host got %q, %v, trailer %q, length %d", b, err, req.Trailer.Get("x-sum"), req.ContentLength)
			}
			resp := p.Answer(200, strings.NewReader("good bye"), -1)
			resp.Trailer.Add("x-sum", "2")
			return resp, nil
		}))
		req := p.Request("/", strings.NewReader("hello"), -1)
		req.Trailer.Add("x-sum", "1")
		resp, err := r.Caller(t).Handle(t.Context(), req)
		must(t, err)
		b, err := all(resp.Body)
		if must(t, err); b != "good bye" || resp.Trailer.Get("x-sum") != "2" {
			t.Errorf("%q, trailer %q", b, resp.Trailer.Get("x-sum"))
		}
		must(t, resp.Close())
		r.Record(t, 1, 200)
	})
}

// The request ends while the answer flows, and each piece passes as it comes.
func TestEachHalfClose(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		if !p.Streams {
			t.Skip("bodies do not stream")
		}
		ended := make(chan struct{})
		r := p.Start(t, 0, handler(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			body, give := flow(ctx)
			go func() { // an answer to each piece, and a last one after the end
				for b := make([]byte, 100); ; {
					n, err := req.Body.Read(b)
					_, _ = fmt.Fprintf(give, "<%s>", b[:n])
					if err != nil {
						close(ended)
						time.Sleep(time.Second)
						_, _ = fmt.Fprint(give, err)
						_ = give.Close()
						return
					}
				}
			}()
			return p.Answer(200, body, -1), nil
		}))
		asking, ask := io.Pipe()
		go func() { _, _ = io.WriteString(ask, "one") }()
		begin := time.Now()
		resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", asking, -1))
		must(t, err)
		if got := take(t, resp.Body, 5); got != "<one>" {
			t.Errorf("got %q", got)
		}
		_, err = io.WriteString(ask, "two")
		must(t, err)
		if got := take(t, resp.Body, 5); got != "<two>" {
			t.Errorf("got %q", got)
		}
		must(t, ask.Close())
		<-ended
		if d := time.Since(begin); d != 0 {
			t.Errorf("the host saw the end of the request after %v", d)
		}
		if rest := whole(t, resp); rest != "<>EOF" || time.Since(begin) != time.Second {
			t.Errorf("after %v: %q", time.Since(begin), rest)
		}
		if rec := r.Record(t, 1, 200); rec.BytesIn != 6 || rec.BytesOut != 15 {
			t.Errorf("record %+v", rec)
		}
	})
}

// The host answers a request that it has not read, and never will.
func TestEachEarlyAnswer(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		if !p.Streams {
			t.Skip("bodies do not stream")
		}
		r := p.Start(t, 0, handler(func(context.Context, *stream.Request) (*stream.Response, error) {
			return p.Answer(403, strings.NewReader("no"), 2), nil
		}))
		for i, body := range []io.ReadCloser{NewPattern(64 << 20), never()} {
			begin := time.Now()
			resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", body, -1))
			must(t, err)
			says := p.Says(resp)
			if b := whole(t, resp); says != "403" || b != "no" {
				t.Errorf("%s %q", says, b)
			}
			if d := time.Since(begin); d > soon {
				t.Errorf("after %v", d)
			}
			r.Record(t, i+1, 403)
		}
		synctest.Wait()
	})
}

// never is a body that does not begin.
func never() io.ReadCloser {
	r, _ := io.Pipe()
	return r
}

func TestEachBigBody(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		big := int64(64 << 20)
		if testing.Short() || raceEnabled {
			big = 8 << 20
		}
		r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			n, err := CheckPattern(req.Body, 0)
			if err != nil {
				return nil, err
			}
			return p.Answer(200, NewPattern(n), req.ContentLength), nil
		}))
		c := r.Caller(t)
		for i, length := range []int64{-1, big / 8} {
			size := big
			if length > 0 {
				size = length
			}
			resp, err := c.Handle(t.Context(), p.Request("/", NewPattern(size), length))
			must(t, err)
			if n, err := CheckPattern(resp.Body, 0); n != size || err != nil || p.Says(resp) != "200" {
				t.Errorf("%s, %d bytes, %v", p.Says(resp), n, err)
			}
			must(t, resp.Close())
			if rec := r.Record(t, i+1, 200); rec.BytesIn != size || rec.BytesOut != size {
				t.Errorf("record %+v", rec)
			}
		}
	})
}

// What is under way finishes, the caller learns that the connection ends, and
// then it does.
func TestEachDrain(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		for _, tc := range []struct {
			name     string
			head     time.Duration // when it comes, of a drain after a second
			farewell string
		}{
			{"before the head", 3 * time.Second, p.Farewell},
			{"in the answer", 0, ""}, // not every protocol can say it then
		} {
			r := p.Start(t, 0, handler(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
				time.Sleep(tc.head)
				body, give := flow(ctx)
				go func() {
					_, _ = io.WriteString(give, "be")
					time.Sleep(5*time.Second - tc.head)
					_, _ = io.WriteString(give, "gun")
					_ = give.Close()
				}()
				return p.Answer(200, body, -1), nil
			}))
			c := r.Caller(t)
			drained := make(chan time.Duration, 1)
			begin := time.Now()
			go func() {
				time.Sleep(time.Second)
				if err := r.Drain(t.Context()); err != nil {
					t.Error(err)
				}
				drained <- time.Since(begin)
			}()
			resp, err := c.Handle(t.Context(), p.Request("/", nil, 0))
			must(t, err)
			if err := c.Err(); tc.farewell != "" && fmt.Sprint(err) != tc.farewell {
				t.Errorf("%s: the caller was told %v", tc.name, err)
			}
			if b := whole(t, resp); b != "begun" || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: after %v %q", tc.name, time.Since(begin), b)
			}
			if d := <-drained; d < 5*time.Second || d > 6*time.Second {
				t.Errorf("%s: drained after %v", tc.name, d)
			}
			synctest.Wait()
			if err := c.Err(); err == nil && !c.Stale() {
				t.Errorf("%s: the caller's connection is still good", tc.name)
			}
			if n := r.Status(t, "in").Connections; n != 0 {
				t.Errorf("%s: %d connections", tc.name, n)
			}
			r.Record(t, 1, 200)
		}
	})
}

// A new configuration is for requests that come after it, on the same
// connection, too.
func TestEachApply(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		begun := make(chan struct{})
		r := p.Start(t, 0, handler(func(context.Context, *stream.Request) (*stream.Response, error) {
			close(begun)
			time.Sleep(5 * time.Second)
			return p.Answer(200, strings.NewReader("old"), 3), nil
		}))
		r.Network.Speak(t, "host:2", p, handler(func(context.Context, *stream.Request) (*stream.Response, error) {
			return p.Answer(200, strings.NewReader("new"), 3), nil
		}))
		c := r.Caller(t)
		go func() {
			<-begun
			r.MustApply(t, p.Snapshot("host:2", 0))
		}()
		for i, want := range []string{"old", "new"} {
			resp, err := c.Handle(t.Context(), p.Request("/", strings.NewReader("hello"), 5))
			must(t, err)
			if b := whole(t, resp); b != want {
				t.Errorf("answered %q, want %q", b, want)
			}
			if rec := r.Record(t, i+1, 200); rec.Host != fmt.Sprintf("host:%d", i+1) {
				t.Errorf("record %+v", rec)
			}
		}
		if n := r.Status(t, "in").Accepted; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A hundred at a time, on connections that are kept.
func TestEachInParallel(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		const rounds, atATime = 3, 100
		r := p.Start(t, 0, echo(p))
		callers := r.Callers(t)
		begin := time.Now()
		for round := range rounds {
			var wg sync.WaitGroup
			for i := range atATime {
				wg.Go(func() {
					path, body := fmt.Sprintf("/%d/%d", round, i), strings.Repeat("x", 100*i)
					resp, err := callers.Handle(t.Context(), p.Request(path, strings.NewReader(body), int64(len(body))))
					if err != nil {
						t.Error(err)
						return
					}
					if b, err := all(resp.Body); b != path+" "+body || err != nil || p.Says(resp) != "200" {
						t.Errorf("%s: %s %.100q, %v", path, p.Says(resp), b, err)
					}
					_ = resp.Close()
				})
			}
			wg.Wait()
		}
		if d := time.Since(begin); d > rounds*(time.Second+soon) {
			t.Errorf("took %v", d)
		}
		limit := int64(1)
		if !p.Multiplexed() {
			limit = atATime
		}
		if n := r.Status(t, "in").Accepted; n > limit {
			t.Errorf("%d connections from the callers", n)
		}
		if n := r.Network.Dials("host:1"); int64(n) > limit {
			t.Errorf("%d connections to the host", n)
		}
		seen := map[string]bool{}
		for _, rec := range r.Records.Wait(t, rounds*atATime) {
			size := int64(0)
			_, _ = fmt.Sscanf(rec.Path, "/%d/%d", new(int), &size)
			if seen[rec.Path] || rec.Status != 200 || rec.Err != nil || rec.BytesIn != 100*size || rec.BytesOut != 100*size+int64(len(rec.Path))+1 {
				t.Errorf("record %+v", rec)
			}
			seen[rec.Path] = true
		}
	})
}
