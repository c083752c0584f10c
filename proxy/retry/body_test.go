package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/retry"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// sent is a body that a caller is sending: a Read waits for what comes. It
// fails the test when it is read by two at a time, or after its Close.
type sent struct {
	t        testing.TB
	trailer  *stream.Header // gets a field at the end
	mu       sync.Mutex
	cond     sync.Cond
	data     []byte
	err      error
	n        int
	reading  bool
	closed   bool
	buffered bool // tells what is there
}

func newSent(t testing.TB, req *stream.Request) *sent {
	s := &sent{t: t, trailer: &req.Trailer}
	s.cond.L = &s.mu
	req.Body, req.ContentLength = s, -1
	return s
}

func (s *sent) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, text...)
	s.cond.Broadcast()
}

func (s *sent) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.cond.Broadcast()
}

func (s *sent) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading {
		s.t.Error("two read at a time")
	}
	s.reading = true
	defer func() { s.reading = false }()
	for len(s.data) == 0 && s.err == nil && !s.closed {
		s.cond.Wait()
	}
	switch {
	case s.closed:
		return 0, io.ErrClosedPipe
	case len(s.data) > 0:
		n := copy(p, s.data)
		s.data = s.data[n:]
		s.n += n
		return n, nil
	}
	if errors.Is(s.err, io.EOF) && s.trailer.Len() == 0 {
		s.trailer.Add("sum", fmt.Sprint(s.n))
	}
	return 0, s.err
}

func (s *sent) Buffered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffered && !s.reading && (len(s.data) > 0 || s.err != nil)
}

func (s *sent) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.cond.Broadcast()
	return nil
}

func (s *sent) state() (closed, reading bool, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed, s.reading, s.n
}

// sender is a client as those of the protocols: a goroutine sends the body while
// the answer is waited for, and is ended, and waited for, with the exchange.
type sender struct {
	got  bytes.Buffer
	err  error
	done chan struct{}
	body io.ReadCloser
}

// answers sends the body and answers with then once wait returns.
func (s *sender) answers(wait func(), then stream.HandlerFunc) stream.HandlerFunc {
	return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		s.done, s.body = make(chan struct{}), req.Body
		go func() {
			defer close(s.done)
			_, s.err = io.Copy(&s.got, struct{ io.Reader }{req.Body})
		}()
		wait()
		resp, err := then(ctx, req)
		if err != nil {
			s.stop()
			return nil, err
		}
		resp.Body = &lastly{ReadCloser: resp.Body, f: s.stop}
		return resp, nil
	}
}

func (s *sender) stop() {
	_ = s.body.Close()
	<-s.done
}

// whole answers with 200 when it has all of the body.
func (s *sender) whole() stream.HandlerFunc {
	return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		_, s.err = io.Copy(&s.got, struct{ io.Reader }{req.Body})
		if s.err != nil {
			return nil, &stream.Error{Kind: stream.BadMessage, Side: stream.Downstream, Err: s.err}
		}
		return status(200, "sum", req.Trailer.Get("sum"))(ctx, req)
	}
}

var always = stream.Retry{Max: 3, On: stream.RetryConnect | stream.RetryResetAny | stream.RetryStatus | stream.RetryTryAny}

// A retry begins while the caller is still sending: what came is sent again,
// what comes follows, and the end of it all is the end of the second body.
func TestG14BodyIsReplayedWhileItComes(t *testing.T) {
	for _, first := range []struct {
		name string
		then stream.HandlerFunc
	}{{"answered", status(503)}, {"broken", cutRisky}, {"expired", expires}} {
		for _, buffered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, buffered %v", first.name, buffered), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					req := request("POST", always)
					req.TryTimeout = time.Minute
					in := newSent(t, req)
					in.buffered = buffered
					a, b := new(sender), new(sender)
					begun := make(chan struct{})
					to := script(t, a.answers(synctest.Wait, first.then), func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
						close(begun)
						return b.whole()(ctx, req)
					})
					in.write("one ")
					go func() {
						<-begun
						in.write("two ")
						synctest.Wait()
						in.write("three")
						in.end(io.EOF)
					}()
					resp, err := retry.New(to, nil).Handle(t.Context(), req)
					if err != nil {
						t.Fatal(err)
					}
					if b.got.String() != "one two three" || resp.Header.Get("sum") != "13" {
						t.Errorf("%q, trailer %q", b.got.String(), resp.Header.Get("sum"))
					}
					if a.got.String() != "one " || a.err == nil {
						t.Errorf("the first attempt got %q, %v", a.got.String(), a.err)
					}
					ends(t, resp)
					if closed, _, _ := in.state(); closed || req.Body != in {
						t.Errorf("closed: %v, the request's body is %T", closed, req.Body)
					}
				})
			})
		}
	}
}

// The end of an exchange is the end of all reading, also of what a lost attempt
// has begun: by an answer, an error, or a caller that does not wait.
func TestBodyReadingEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps func(s *sender) []stream.HandlerFunc
	}{
		{"error", func(s *sender) []stream.HandlerFunc {
			return []stream.HandlerFunc{s.answers(synctest.Wait, fails(stream.Error{Kind: stream.Denied}))}
		}},
		{"answer", func(s *sender) []stream.HandlerFunc {
			return []stream.HandlerFunc{s.answers(synctest.Wait, status(200))}
		}},
		{"answer while nothing is kept", func(s *sender) []stream.HandlerFunc {
			return []stream.HandlerFunc{s.answers(synctest.Wait, status(200))}
		}},
		{"error of a second, which reads nothing", func(s *sender) []stream.HandlerFunc {
			return []stream.HandlerFunc{s.answers(synctest.Wait, cutRisky), fails(stream.Error{Kind: stream.Denied})}
		}},
		{"answer of a second, which reads nothing", func(s *sender) []stream.HandlerFunc {
			return []stream.HandlerFunc{s.answers(synctest.Wait, cutRisky), status(200)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				req := request("POST", always)
				in := newSent(t, req)
				in.write("some")
				if strings.Contains(tt.name, "kept") {
					req.Policy, req.TryTimeout = nil, time.Hour
				}
				resp, err := retry.New(script(t, tt.steps(new(sender))...), nil).Handle(t.Context(), req)
				if err == nil {
					if closed, _, _ := in.state(); closed {
						t.Error("the body is closed before the answer is")
					}
					ends(t, resp)
				}
				if _, reading, n := in.state(); reading || n != 4 {
					t.Errorf("reading: %v, %d bytes taken", reading, n)
				}
				in.write("more")
				synctest.Wait()
				if _, _, n := in.state(); n != 4 {
					t.Errorf("%d bytes were taken after the end", n)
				}
			})
		})
	}
}

// Which bodies are sent again: those that are kept, and those that were not begun.
func TestG14BodySizes(t *testing.T) {
	big := strings.Repeat("x", retry.KeepLimit)
	read := func(n int64) stream.HandlerFunc {
		return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			_, _ = io.CopyN(io.Discard, req.Body, n)
			return status(503)(ctx, req)
		}
	}
	all := read(1 << 30)
	for _, tt := range []struct {
		name  string
		body  string
		known bool
		first stream.HandlerFunc
		again bool
	}{
		{"empty", "", true, all, true},
		{"empty, unknown", "", false, all, true},
		{"small", "body", true, all, true},
		{"small, unknown", "body", false, all, true},
		{"limit", big, true, all, true},
		{"limit, unknown", big, false, all, true},
		{"more", big + "x", true, all, false},
		{"more, unknown", big + "x", false, all, false},
		{"much more, unknown", strings.Repeat(big, 10), false, all, false},
		{"more, begun", big + "x", true, read(1), false},
		{"more, unknown, begun", big + "x", false, read(1), true},
		{"more, unknown, kept so far", big + "x", false, read(retry.KeepLimit), true},
		{"more, not begun", big + "x", true, read(0), true},
		{"more, closed unread", big + "x", true, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			_ = req.Body.Close()
			return refused(ctx, req)
		}, true},
	} {
		for _, reader := range []string{"ready", "waits"} {
			t.Run(tt.name+", "+reader, func(t *testing.T) {
				req := request("POST", always)
				closed := false
				req.Body = text{Reader: strings.NewReader(tt.body), closed: &closed}
				if reader == "waits" {
					req.Body = io.NopCloser(strings.NewReader(tt.body))
				}
				if req.ContentLength = -1; tt.known {
					req.ContentLength = int64(len(tt.body))
				}
				s := new(sender)
				to := script(t, tt.first, s.whole())
				resp, err := retry.New(to, nil).Handle(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				ends(t, resp)
				switch {
				case tt.again && (resp.Status != 200 || s.got.String() != tt.body):
					t.Errorf("status %d, %d bytes; want them again", resp.Status, s.got.Len())
				case !tt.again && (resp.Status != 503 || to.attempts() != 1):
					t.Errorf("status %d, %d attempts; want one", resp.Status, to.attempts())
				}
				if closed && tt.again {
					t.Error("the caller's body was closed")
				}
			})
		}
	}
}

// What is passed on is right whatever its size, and also when nothing is kept.
func TestBodyArrivesWhole(t *testing.T) {
	for _, size := range []int{0, 1, 2047, 2048, 5000, retry.KeepLimit - 1, retry.KeepLimit, retry.KeepLimit + 1, 300_000} {
		for _, tries := range []int{0, 2} {
			want := make([]byte, size)
			for i := range want {
				want[i] = byte(i * 7 >> 3)
			}
			p := always
			p.Max = tries
			req := request("POST", p)
			req.TryTimeout = time.Hour // also without retries
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(want)), -1
			req.Trailer.Add("sum", "1")
			s := new(sender)
			resp, err := retry.New(script(t, s.whole()), nil).Handle(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.got.Bytes(), want) || resp.Header.Get("sum") != "1" {
				t.Errorf("%d bytes, %d retries: %d bytes arrived, trailer %q", size, tries, s.got.Len(), resp.Header.Get("sum"))
			}
			ends(t, resp)
		}
	}
}

// A body that breaks off is not sent again; its error is the attempt's.
func TestG14BrokenBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &stream.Error{Kind: stream.Canceled, Side: stream.Downstream, Op: "gone"}
		req := request("POST", always)
		in := newSent(t, req)
		in.write("some")
		in.end(gone)
		s := new(sender)
		to := script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if _, err := io.Copy(&s.got, req.Body); !errors.Is(err, gone) {
				t.Errorf("the host's client read %v", err)
			}
			return cutSafe(ctx, req)
		})
		_, err := retry.New(to, nil).Handle(t.Context(), req)
		if s.got.String() != "some" || to.attempts() != 1 || err == nil || !strings.Contains(err.Error(), "cannot be sent again") {
			t.Errorf("%q, %d attempts, %v", s.got.String(), to.attempts(), err)
		}
		// One that returns nothing for ever is broken, too.
		req = request("POST", always)
		req.Body, req.ContentLength = io.NopCloser(silence{}), -1
		to = script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if _, err := io.Copy(io.Discard, req.Body); !errors.Is(err, io.ErrNoProgress) {
				t.Errorf("the host's client read %v", err)
			}
			return cutSafe(ctx, req)
		})
		if _, err = retry.New(to, nil).Handle(t.Context(), req); err == nil || to.attempts() != 1 {
			t.Errorf("%v, %d attempts", err, to.attempts())
		}
	})
}

type silence struct{}

func (silence) Read([]byte) (int, error) { return 0, nil }

// A client that does not know when to stop gets nothing after its attempt.
func TestLateReadGetsNothing(t *testing.T) {
	req := request("POST", always)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader("body")), 4
	var late io.ReadCloser
	s := new(sender)
	to := script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		late = req.Body
		return refused(ctx, req)
	}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if n, err := late.Read(make([]byte, 10)); n != 0 || err == nil || !stream.BodyReady(late) || !stream.BodyBuffered(late) {
			t.Errorf("%d bytes, %v", n, err)
		}
		return s.whole()(ctx, req)
	})
	resp, err := retry.New(to, nil).Handle(t.Context(), req)
	if err != nil || s.got.String() != "body" {
		t.Fatalf("%q, %v", s.got.String(), err)
	}
	ends(t, resp)
}

// What a body says of itself stays true: protocol clients send what is there in
// one piece, and wait for the rest in a goroutine.
func TestBodyTellsWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		req := request("POST", always)
		in := newSent(t, req)
		in.buffered = true
		in.write("some")
		buf := make([]byte, 2)
		check := func(body io.Reader, ready, buffered bool) {
			t.Helper()
			if r, b := stream.BodyReady(body), stream.BodyBuffered(body); r != ready || b != buffered {
				t.Errorf("ready %v, buffered %v; want %v and %v", r, b, ready, buffered)
			}
		}
		to := script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			check(req.Body, false, true)
			_, _ = req.Body.Read(buf)
			check(req.Body, false, true) // the rest was read, and is kept
			_, _ = req.Body.Read(buf)
			check(req.Body, false, false)
			done := make(chan struct{})
			go func() { _, _ = req.Body.Read(buf); close(done) }()
			synctest.Wait()
			check(req.Body, false, false)
			_ = req.Body.Close()
			<-done
			return refused(ctx, req)
		}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			check(req.Body, false, true)
			_, _ = io.ReadFull(req.Body, make([]byte, 4))
			check(req.Body, false, false)
			in.end(io.EOF)
			synctest.Wait()
			check(req.Body, true, true) // the read that the first has begun met the end
			if _, err := req.Body.Read(buf); err != io.EOF || req.Trailer.Len() != 1 {
				t.Errorf("%v, %d trailers", err, req.Trailer.Len())
			}
			check(req.Body, true, true)
			return refused(ctx, req)
		}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			check(req.Body, true, true)
			if req.Trailer.Len() != 0 {
				t.Errorf("%d trailers before the end", req.Trailer.Len())
			}
			if n, err := req.Body.Read(make([]byte, 10)); n != 4 || err != io.EOF {
				t.Errorf("%d, %v: the end comes with the last bytes", n, err)
			}
			return status(200)(ctx, req)
		})
		resp, err := retry.New(to, nil).Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		ends(t, resp)
	})
}
