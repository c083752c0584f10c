package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/mirror"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has the clusters that copies go to, and runs what handlers leave behind.
type world struct {
	clusters map[string][]stream.Handler // hosts; a cluster sends to its first
	ctx      context.Context
	wg       sync.WaitGroup
	stopped  bool
	log      bytes.Buffer
	counters mirror.Counters
}

func (w *world) Cluster(name string) (stream.Handler, bool) {
	c, ok := w.clusters[name]
	if !ok {
		return nil, false
	}
	if len(c) == 0 {
		return stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
			return nil, &stream.Error{Kind: stream.NoHost}
		}), true
	}
	return c[0], true
}

func (w *world) Each(name string) []stream.Handler          { return w.clusters[name] }
func (w *world) Isolate(string, string, time.Duration) bool { return false }
func (w *world) Hosts(string) (all, isolated int)           { return 0, 0 }
func (w *world) start(f func(context.Context)) bool {
	if w.stopped {
		return false
	}
	w.wg.Go(func() { f(w.ctx) })
	return true
}

// shadow is a host of a mirror. It notes what it gets, and reads each body when
// hold, if there is one, is closed.
type shadow struct {
	hold   chan struct{}
	then   func(*stream.Request) (*stream.Response, error)
	mu     sync.Mutex
	bodies []string
	errs   []error
	last   stream.Request
}

func (s *shadow) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, stream.FromContext(ctx, "hold")
		case <-time.After(time.Until(req.Deadline)):
			return nil, &stream.Error{Kind: stream.Timeout}
		}
	}
	var data []byte
	var err error
	if req.Body != nil {
		data, err = io.ReadAll(req.Body)
	}
	s.mu.Lock()
	s.bodies, s.errs = append(s.bodies, string(data)), append(s.errs, err)
	s.last = *req
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case s.then != nil:
		return s.then(req)
	}
	return &stream.Response{Status: 200}, nil
}

func (s *shadow) got() ([]string, []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies), slices.Clone(s.errs)
}

// origin answers when it has read the whole body, and returns it.
var origin = stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
	var data []byte
	if req.Body != nil {
		var err error
		if data, err = io.ReadAll(req.Body); err != nil {
			return nil, &stream.Error{Kind: stream.Reset, Side: stream.Downstream, Err: err}
		}
	}
	return &stream.Response{Status: 200, Body: io.NopCloser(bytes.NewReader(data))}, nil
})

func newWorld(t *testing.T, clusters map[string][]stream.Handler) (*world, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &world{clusters: clusters, ctx: ctx}
	return w, func() {
		cancel()
		w.wg.Wait()
		if n := w.counters.InFlight(); n != 0 {
			t.Errorf("%d copies are in flight at the end", n)
		}
	}
}

func (w *world) handler(next stream.Handler) stream.Handler {
	return mirror.New(next, mirror.Env{Clusters: w, Go: w.start, Counters: &w.counters, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
}

func request(body io.ReadCloser, mirrors ...stream.Mirror) *stream.Request {
	req := &stream.Request{Method: "POST", Path: "/", Body: body, ContentLength: -1, Policy: &stream.Policy{Mirrors: mirrors}}
	req.Deadline = time.Now().Add(time.Minute)
	return req
}

func text(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// answer handles a request and reads its answer.
func answer(t *testing.T, h stream.Handler, req *stream.Request) string {
	t.Helper()
	resp, err := h.Handle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Close()
	return string(data)
}

// The shadow sees what the host sees, its answer is nobody's, and its delay
// is not the caller's.
func TestF9ShadowSeesACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shadow{hold: make(chan struct{})}
		w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
		req := request(text("body"), stream.Mirror{Cluster: "shadow", Percent: 100, Copies: 1})
		req.Authority, req.Path, req.Query, req.Native = "example.com", "/a", "b=c", "frame"
		req.Header.Add("x", "1")
		req.Trailer.Add("sum", "4")
		req.Labels, req.Tried = []stream.Label{{Key: "v", Value: "1"}}, []string{"host"}
		req.PerHost = func(h stream.Handler) stream.Handler { return h }
		req.Info.ID, req.Info.Route = "id", "route"
		policy, start := req.Policy, time.Now()
		if got := answer(t, w.handler(origin), req); got != "body" {
			t.Errorf("the caller got %q", got)
		}
		if req.Policy != policy || time.Since(start) != 0 || w.counters.InFlight() != 1 {
			t.Errorf("%v, %d in flight", time.Since(start), w.counters.InFlight())
		}
		// The request is somebody else's now.
		deadline := req.Deadline
		req.Reset()
		req.Header.Add("x", "2")
		close(s.hold)
		synctest.Wait()
		if got, _ := s.got(); !slices.Equal(got, []string{"body"}) {
			t.Fatalf("the shadow got %q", got)
		}
		c := &s.last
		if c.Authority != "example.com" || c.Path != "/a" || c.Query != "b=c" || c.Header.Get("x") != "1" || c.Trailer.Get("sum") != "4" ||
			c.Deadline != deadline || c.Info.ID != "id" || c.Info.Cluster != "shadow" || c.Info.Attempts != 0 {
			t.Errorf("the copy is %+v", c)
		}
		if c.Native != nil || c.Labels != nil || c.Tried != nil || c.PerHost != nil || c.Policy != nil {
			t.Errorf("the copy has what is the original's: %+v", c)
		}
		if w.counters.Sent.Load() != 1 || w.counters.Failed.Load() != 0 {
			t.Errorf("%d sent, %d failed", w.counters.Sent.Load(), w.counters.Failed.Load())
		}
		stop()
	})
}

// Nothing that a shadow does reaches the caller.
func TestG23ShadowFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endless := func(*stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, Body: io.NopCloser(endless{})}, nil
		}
		fails := &shadow{then: func(*stream.Request) (*stream.Response, error) { return nil, &stream.Error{Kind: stream.Connect} }}
		panics := &shadow{then: func(*stream.Request) (*stream.Response, error) { panic("!") }}
		long := &shadow{then: endless}
		oneway := &shadow{then: func(*stream.Request) (*stream.Response, error) { return stream.NoResponse, nil }}
		w, stop := newWorld(t, map[string][]stream.Handler{"fails": {fails}, "panics": {panics}, "long": {long}, "empty": {}, "oneway": {oneway}})
		var mirrors []stream.Mirror
		for _, name := range []string{"fails", "panics", "long", "empty", "oneway"} {
			mirrors = append(mirrors, stream.Mirror{Cluster: name, Percent: 100})
		}
		if got := answer(t, w.handler(origin), request(text("body"), mirrors...)); got != "body" {
			t.Errorf("the caller got %q", got)
		}
		synctest.Wait()
		if n := &w.counters; n.Sent.Load() != 5 || n.Failed.Load() != 3 || !strings.Contains(w.log.String(), "panic while mirroring") {
			t.Errorf("%d sent, %d failed; log %q", n.Sent.Load(), n.Failed.Load(), w.log.String())
		}
		stop()
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// How many copies there are, and for whom.
func TestF9AmplificationAndBroadcast(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mirror stream.Mirror
		want   []int // copies, by host
	}{
		{"one", stream.Mirror{Percent: 100, Copies: 1}, []int{1, 0, 0}},
		{"zero is one", stream.Mirror{Percent: 100}, []int{1, 0, 0}},
		{"amplified", stream.Mirror{Percent: 100, Copies: 3}, []int{3, 0, 0}},
		{"broadcast", stream.Mirror{Percent: 100, Copies: 1, Broadcast: true}, []int{1, 1, 1}},
		{"both", stream.Mirror{Percent: 100, Copies: 2, Broadcast: true}, []int{2, 2, 2}},
		{"none", stream.Mirror{Percent: 0, Copies: 2}, []int{0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hosts := []*shadow{{}, {}, {}}
				w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {hosts[0], hosts[1], hosts[2]}})
				tt.mirror.Cluster = "shadow"
				long := strings.Repeat("body", 50_000)
				if got := answer(t, w.handler(origin), request(text(long), tt.mirror)); got != long {
					t.Errorf("the caller got %d bytes", len(got))
				}
				synctest.Wait()
				for i, h := range hosts {
					bodies, _ := h.got()
					if len(bodies) != tt.want[i] {
						t.Errorf("host %d got %d copies, want %d", i, len(bodies), tt.want[i])
					}
					for _, b := range bodies {
						if b != long {
							t.Errorf("host %d got %d bytes of %d", i, len(b), len(long))
						}
					}
				}
				stop()
			})
		})
	}
}

// The share of requests that are copied is the stated one.
func TestF9Percent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20_000
		for _, percent := range []float64{0, 0.5, 25, 99, 100} {
			s := &shadow{}
			w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
			h := w.handler(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { return stream.NoResponse, nil }))
			req := request(nil, stream.Mirror{Cluster: "shadow", Percent: percent})
			for range n {
				if _, err := h.Handle(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			got, share := float64(w.counters.Sent.Load()), percent/100
			if d := math.Abs(got - n*share); d > 5*math.Sqrt(n*share*(1-share)) {
				t.Errorf("%v of %d requests were copied, want %v %%", got, n, percent)
			}
			stop()
		}
	})
}

// pieces is a body that comes piece by piece, as the test sends it.
type pieces struct {
	*io.PipeReader
	w *io.PipeWriter
}

func newPieces() *pieces {
	r, w := io.Pipe()
	return &pieces{r, w}
}

// The copy follows the original as it comes, and has its end and its trailers.
func TestF9BodyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPieces()
		seen := make(chan string, 10)
		w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			buf := make([]byte, 100)
			for {
				n, err := req.Body.Read(buf)
				if n > 0 {
					seen <- string(buf[:n])
				}
				if err != nil {
					seen <- fmt.Sprint(err, req.Trailer.Get("sum"))
					return stream.NoResponse, nil
				}
			}
		})}})
		req := request(in, stream.Mirror{Cluster: "shadow", Percent: 100})
		go func() {
			for _, p := range []string{"one", "two"} {
				_, _ = io.WriteString(in.w, p)
				synctest.Wait()
				if got := <-seen; got != p {
					t.Errorf("the shadow got %q, want %q", got, p)
				}
			}
			req.Trailer.Add("sum", "6")
			_ = in.w.Close()
		}()
		if got := answer(t, w.handler(origin), req); got != "onetwo" {
			t.Errorf("the caller got %q", got)
		}
		if got := <-seen; got != "EOF6" {
			t.Errorf("the shadow got %q", got)
		}
		stop()
	})
}

// A shadow that reads slowly is broken off, and nobody waits for it; one that
// reads in time gets all, and so does any whose body is small.
func TestF9SlowShadowIsBrokenOff(t *testing.T) {
	for _, size := range []int{mirror.Ahead, mirror.Ahead + 1, 3 * mirror.Ahead} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow, quick := &shadow{hold: make(chan struct{})}, &shadow{}
				w, stop := newWorld(t, map[string][]stream.Handler{"slow": {slow}, "quick": {quick}})
				in, start := newPieces(), time.Now()
				body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				go func() {
					for rest := body; rest != ""; {
						n := min(len(rest), 10_000)
						_, _ = io.WriteString(in.w, rest[:n])
						rest = rest[n:]
						time.Sleep(time.Millisecond) // the quick one reads
					}
					_ = in.w.Close()
				}()
				req := request(in, stream.Mirror{Cluster: "slow", Percent: 100}, stream.Mirror{Cluster: "quick", Percent: 100})
				if got := answer(t, w.handler(origin), req); got != body {
					t.Errorf("the caller got %d bytes", len(got))
				}
				if time.Since(start) > time.Second {
					t.Errorf("the caller waited for %v", time.Since(start))
				}
				close(slow.hold)
				synctest.Wait()
				got, errs := slow.got()
				switch small := size <= mirror.Ahead; {
				case small && (got[0] != body || errs[0] != nil || w.counters.Behind.Load() != 0):
					t.Errorf("the slow shadow got %d bytes, %v", len(got[0]), errs[0])
				case !small && (got[0] != "" || errs[0] == nil || w.counters.Behind.Load() != 1 || w.counters.Failed.Load() != 1):
					t.Errorf("the slow shadow got %d bytes, %v; %d behind", len(got[0]), errs[0], w.counters.Behind.Load())
				}
				if got, errs = quick.got(); got[0] != body || errs[0] != nil {
					t.Errorf("the quick shadow got %d bytes, %v", len(got[0]), errs[0])
				}
				stop()
			})
		})
	}
}

// ready is a body that is there as a whole.
type ready struct {
	io.Reader
	closed bool
}

func (*ready) Ready() bool    { return true }
func (r *ready) Close() error { r.closed = true; return nil }

// What the copy gets when the original is not read to its end.
func TestF9OriginalEndsEarly(t *testing.T) {
	broken := errors.New("gone")
	for _, tt := range []struct {
		name   string
		body   func() io.ReadCloser
		length int64
		next   stream.HandlerFunc
		whole  bool
	}{
		{"the caller breaks off", func() io.ReadCloser { return io.NopCloser(io.MultiReader(strings.NewReader("bo"), bad{broken})) }, -1, origin, false},
		{"the host answers early", func() io.ReadCloser { return text("body") }, 4, early(2), false},
		{"the host fails early", func() io.ReadCloser { return text("body") }, 4, failing(2), false},
		{"the host's client does not look for the end", func() io.ReadCloser { return text("body") }, 4, early(4), true},
		{"nor when it fails", func() io.ReadCloser { return text("body") }, 4, failing(4), true},
		{"nor where the length is unknown", func() io.ReadCloser { return text("body") }, -1, early(4), false},
		{"a frame is passed on as it is", func() io.ReadCloser { return &ready{Reader: strings.NewReader("body")} }, 4, early(0), true},
		{"the same, oneway", func() io.ReadCloser { return &ready{Reader: strings.NewReader("body")} }, -1, func(context.Context, *stream.Request) (*stream.Response, error) {
			return stream.NoResponse, nil
		}, true},
		{"all is there, but too long", func() io.ReadCloser { return &ready{Reader: endless{}} }, -1, early(0), false},
		{"all is there, and closed", func() io.ReadCloser { return &ready{Reader: strings.NewReader("body")} }, 4, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			_ = req.Body.Close()
			return early(0)(ctx, req)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shadow{}
				w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
				req := request(tt.body(), stream.Mirror{Cluster: "shadow", Percent: 100})
				req.ContentLength = tt.length
				resp, err := w.handler(tt.next).Handle(t.Context(), req)
				if err == nil {
					if _, err := io.Copy(io.Discard, readerOf(resp)); err != nil {
						t.Error(err)
					}
					_ = resp.Close()
				}
				synctest.Wait() // not until the deadline
				bodies, errs := s.got()
				if len(bodies) != 1 {
					t.Fatalf("%d copies have ended", len(bodies))
				}
				if whole := bodies[0] == "body" && errs[0] == nil; whole != tt.whole {
					t.Errorf("the shadow got %.20q, %v", bodies[0], errs[0])
				}
				stop()
			})
		})
	}
}

func readerOf(resp *stream.Response) io.Reader {
	if resp.Body == nil {
		return strings.NewReader("")
	}
	return resp.Body
}

type bad struct{ err error }

func (b bad) Read([]byte) (int, error) { return 0, b.err }

// early answers when it has n bytes, failing fails then.
func early(n int64) stream.HandlerFunc {
	return func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		_, _ = io.CopyN(io.Discard, req.Body, n)
		return &stream.Response{Status: 403, Body: text("no")}, nil
	}
}

func failing(n int64) stream.HandlerFunc {
	return func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		_, _ = io.CopyN(io.Discard, req.Body, n)
		return nil, &stream.Error{Kind: stream.Canceled, Side: stream.Downstream}
	}
}

// A copy that has all goes on when its caller has gone, for as long as the
// route allows; it ends with the core.
func TestF9CopyOutlivesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shadow{hold: make(chan struct{})}
		w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
		ctx, cancel := context.WithCancel(t.Context())
		h := w.handler(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			_, _ = io.Copy(io.Discard, req.Body)
			cancel()
			return nil, stream.FromContext(ctx, "exchange")
		}))
		m := stream.Mirror{Cluster: "shadow", Percent: 100, Copies: 2}
		if _, err := h.Handle(ctx, request(text("body"), m)); stream.AsError(err).Kind != stream.Canceled {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if n := w.counters.InFlight(); n != 2 {
			t.Errorf("%d in flight", n)
		}
		start := time.Now()
		w.wg.Wait()
		if d := time.Since(start); d != time.Minute || w.counters.Failed.Load() != 2 {
			t.Errorf("ended after %v, %d failed", d, w.counters.Failed.Load())
		}
		// Without a limit of the original's there is one all the same.
		req := request(nil, m)
		req.Deadline = time.Time{}
		if got := answer(t, w.handler(origin), req); got != "" {
			t.Errorf("%q", got)
		}
		start = time.Now()
		w.wg.Wait()
		if d := time.Since(start); d < time.Second || d > time.Hour {
			t.Errorf("ended after %v", d)
		}
		_, _ = h.Handle(ctx, request(text("body"), m))
		synctest.Wait()
		start = time.Now()
		stop()
		if d := time.Since(start); d != 0 {
			t.Errorf("the core's end came %v late", d)
		}
	})
}

// What cannot be sent is counted, and said once.
func TestG23NoSuchCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld(t, map[string][]stream.Handler{"empty": {}})
		h := w.handler(origin)
		for range 3 {
			req := request(text("body"),
				stream.Mirror{Cluster: "missing", Percent: 100},
				stream.Mirror{Cluster: "missing too", Percent: 100, Broadcast: true},
				stream.Mirror{Cluster: "empty", Percent: 100, Broadcast: true})
			if got := answer(t, h, req); got != "body" {
				t.Errorf("%q", got)
			}
		}
		if n := w.counters.Nowhere.Load(); n != 9 || w.counters.Sent.Load() != 0 {
			t.Errorf("%d nowhere, %d sent", n, w.counters.Sent.Load())
		}
		if said := strings.Count(w.log.String(), "\n"); said != 2 || !strings.Contains(w.log.String(), `"missing too"`) {
			t.Errorf("log: %s", w.log.String())
		}
		stop()
	})
}

// There are never too many copies; none is begun when the core stops.
func TestF9CopiesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shadow{hold: make(chan struct{})}
		w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
		h, other := w.handler(origin), w.handler(origin)
		m := stream.Mirror{Cluster: "shadow", Percent: 100, Copies: mirror.MaxInFlight - 10}
		answer(t, h, request(text("body"), m))
		m.Copies = 100
		if got := answer(t, other, request(text("body"), m)); got != "body" {
			t.Errorf("%q", got)
		}
		if n := &w.counters; n.InFlight() != mirror.MaxInFlight || n.Dropped.Load() != 90 {
			t.Errorf("%d in flight, %d dropped", n.InFlight(), n.Dropped.Load())
		}
		close(s.hold)
		synctest.Wait()
		if bodies, _ := s.got(); len(bodies) != mirror.MaxInFlight || w.counters.InFlight() != 0 {
			t.Errorf("%d copies arrived, %d are in flight", len(bodies), w.counters.InFlight())
		}
		w.stopped = true
		if got := answer(t, h, request(text("body"), m)); got != "body" || w.counters.Dropped.Load() != 190 || w.counters.InFlight() != 0 {
			t.Errorf("%q, %d dropped", got, w.counters.Dropped.Load())
		}
		stop()
	})
}

// What is not mirrored passes as it is.
func TestNotMirrored(t *testing.T) {
	w, stop := newWorld(t, nil)
	for name, change := range map[string]func(*stream.Request){
		"upgrade":    func(r *stream.Request) { r.Upgrade = "websocket" },
		"no policy":  func(r *stream.Request) { r.Policy = nil },
		"no mirrors": func(r *stream.Request) { r.Policy = &stream.Policy{} },
	} {
		body := text("body")
		req := request(body, stream.Mirror{Cluster: "missing", Percent: 100})
		change(req)
		h := w.handler(stream.HandlerFunc(func(_ context.Context, got *stream.Request) (*stream.Response, error) {
			if got != req || got.Body != body {
				t.Errorf("%s: another request, or another body", name)
			}
			return stream.NoResponse, nil
		}))
		if _, err := h.Handle(t.Context(), req); err != nil {
			t.Error(err)
		}
	}
	if w.counters.Nowhere.Load() != 0 {
		t.Error("something was mirrored")
	}
	stop()
}

// A panic on the original's way leaves no copy waiting.
func TestPanicCutsCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shadow{}
		w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {s}})
		func() {
			defer func() { _ = recover() }()
			h := w.handler(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { panic("!") }))
			_, _ = h.Handle(t.Context(), request(text("body"), stream.Mirror{Cluster: "shadow", Percent: 100}))
		}()
		synctest.Wait()
		if _, errs := s.got(); len(errs) != 1 || errs[0] == nil {
			t.Errorf("%v", errs)
		}
		stop()
	})
}

// However small the pieces are, they arrive in order.
func TestF9SmallPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, known := range []bool{false, true} {
			slow, quick := &shadow{hold: make(chan struct{})}, &shadow{}
			w, stop := newWorld(t, map[string][]stream.Handler{"slow": {slow}, "quick": {quick}})
			want := make([]byte, 30_000)
			for i := range want {
				want[i] = byte(i / 7)
			}
			req := request(io.NopCloser(iotest.OneByteReader(bytes.NewReader(want))),
				stream.Mirror{Cluster: "slow", Percent: 100}, stream.Mirror{Cluster: "quick", Percent: 100})
			if known {
				req.ContentLength = int64(len(want))
			}
			answer(t, w.handler(origin), req)
			close(slow.hold)
			synctest.Wait()
			for _, s := range []*shadow{slow, quick} {
				if got, errs := s.got(); got[0] != string(want) || errs[0] != nil {
					t.Errorf("%d bytes of %d arrived, %v", len(got[0]), len(want), errs[0])
				}
			}
			stop()
		}
	})
}
