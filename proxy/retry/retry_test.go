package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/retry"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hosts is what attempts go to: attempt n is answered by step n, the last step
// by itself from then on. It fails the test if two are under way at a time.
type hosts struct {
	t     testing.TB
	steps []stream.HandlerFunc

	mu    sync.Mutex
	begun []time.Time
	busy  bool
}

func script(t testing.TB, steps ...stream.HandlerFunc) *hosts { return &hosts{t: t, steps: steps} }

func (h *hosts) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	h.mu.Lock()
	n := len(h.begun)
	h.begun = append(h.begun, time.Now())
	if h.busy {
		h.t.Errorf("attempt %d begins while another is under way", n+1)
	}
	h.busy = true
	h.mu.Unlock()
	// As the cluster does:
	req.Info.Attempts++
	req.Info.Host = fmt.Sprintf("host%d", n+1)
	req.Tried = append(req.Tried, req.Info.Host)

	resp, err := h.steps[min(n, len(h.steps)-1)](ctx, req)
	if err != nil || resp == stream.NoResponse {
		h.over()
		return resp, err
	}
	resp.Body = &lastly{ReadCloser: resp.Body, f: h.over}
	return resp, nil
}

func (h *hosts) over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = false
}

func (h *hosts) attempts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.begun)
}

// lastly calls f after Close, which may come once.
type lastly struct {
	io.ReadCloser
	f func()
}

func (l *lastly) Close() error {
	err := l.ReadCloser.Close()
	l.f()
	return err
}

func (l *lastly) Buffered() bool { return stream.BodyBuffered(l.ReadCloser) }

// text is a body that is there.
type text struct {
	io.Reader
	closed *bool
}

func (b text) Ready() bool { return true }

func (b text) Close() error {
	if b.closed != nil {
		*b.closed = true
	}
	return nil
}

func status(code int, fields ...string) stream.HandlerFunc {
	return func(context.Context, *stream.Request) (*stream.Response, error) {
		resp := &stream.Response{Status: code, Body: text{Reader: strings.NewReader("body")}, ContentLength: 4}
		for i := 0; i < len(fields); i += 2 {
			resp.Header.Add(fields[i], fields[i+1])
		}
		return resp, nil
	}
}

func fails(e stream.Error) stream.HandlerFunc {
	return func(context.Context, *stream.Request) (*stream.Response, error) {
		e := e
		return nil, &e
	}
}

// expires waits until the time for the attempt is over, as a client does.
func expires(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	timer := time.NewTimer(time.Until(req.Deadline))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil, &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Op: "exchange"}
	case <-ctx.Done():
		return nil, stream.FromContext(ctx, "exchange")
	}
}

var (
	refused  = fails(stream.Error{Kind: stream.Connect, Side: stream.Upstream, Retry: true, Op: "connect"})
	cutSafe  = fails(stream.Error{Kind: stream.Reset, Side: stream.Upstream, Retry: true, Op: "exchange"})
	cutRisky = fails(stream.Error{Kind: stream.Reset, Side: stream.Upstream, Op: "exchange"})
)

// request is one with a policy.
func request(method string, p stream.Retry) *stream.Request {
	return &stream.Request{Method: method, Path: "/", Policy: &stream.Policy{Retry: &p}}
}

// ends reads an answer to its end.
func ends(t *testing.T, resp *stream.Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	if err := resp.Close(); err != nil {
		t.Fatalf("close answer: %v", err)
	}
	return string(data)
}

// What each condition covers, and what it does not.
func TestG14Conditions(t *testing.T) {
	const try = time.Second
	overload := func(placed bool) stream.HandlerFunc {
		return func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if !placed {
				req.Info.Attempts--
			}
			return nil, &stream.Error{Kind: stream.Overload, Retry: true}
		}
	}
	grpc := status(200, "grpc-status", "14")
	for _, tt := range []struct {
		name   string
		on     stream.RetryOn
		method string
		first  stream.HandlerFunc
		change func(*stream.Request)
		again  bool
	}{
		{name: "nothing", method: "GET", first: refused},
		{name: "connect", on: stream.RetryConnect, method: "POST", first: refused, again: true},
		{name: "connect, not safe", on: stream.RetryConnect, method: "GET", first: fails(stream.Error{Kind: stream.Connect})},
		{name: "no host", on: stream.RetryConnect, method: "POST", first: fails(stream.Error{Kind: stream.NoHost, Retry: true}), again: true},
		{name: "stopping", on: stream.RetryConnect, method: "POST", first: fails(stream.Error{Kind: stream.Stopping, Retry: true}), again: true},
		{name: "host full", on: stream.RetryConnect, method: "POST", first: overload(true), again: true},
		{name: "cluster full", on: stream.RetryConnect, method: "GET", first: overload(false)},
		{name: "connect of a oneway", on: stream.RetryConnect, method: "call", first: refused, change: func(r *stream.Request) { r.OneWay = true }, again: true},
		{name: "connect of an upgrade", on: stream.RetryConnect, method: "GET", first: refused, change: func(r *stream.Request) { r.Upgrade = "websocket" }, again: true},
		{name: "connect for reset", on: stream.RetryConnect, method: "GET", first: cutSafe},

		{name: "reset", on: stream.RetryReset, method: "GET", first: cutSafe, again: true},
		{name: "reset, risky", on: stream.RetryReset, method: "POST", first: cutRisky},
		{name: "reset any", on: stream.RetryResetAny, method: "POST", first: cutRisky, again: true},
		{name: "reset for connect", on: stream.RetryReset, method: "GET", first: refused},
		{name: "reset by the caller", on: stream.RetryResetAny, method: "GET", first: fails(stream.Error{Kind: stream.Reset, Side: stream.Downstream, Retry: true})},
		{name: "reset of a oneway", on: stream.RetryResetAny, method: "call", first: cutSafe, change: func(r *stream.Request) { r.OneWay = true }},
		{name: "reset of an upgrade", on: stream.RetryResetAny, method: "GET", first: cutSafe, change: func(r *stream.Request) { r.Upgrade = "websocket" }},

		{name: "try", on: stream.RetryTry, method: "GET", first: expires, again: true},
		{name: "try, not idempotent", on: stream.RetryTry, method: "POST", first: expires},
		{name: "try, not sent", on: stream.RetryTry, method: "POST", first: func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			_, err := expires(ctx, req)
			e := stream.AsError(err)
			e.Retry = true
			return nil, e
		}, again: true},
		{name: "try any", on: stream.RetryTryAny, method: "POST", first: expires, again: true},
		{name: "a timeout that is not the attempt's", on: stream.RetryTryAny, method: "GET", first: fails(stream.Error{Kind: stream.Timeout, Side: stream.Upstream})},
		{name: "try for reset", on: stream.RetryTryAny, method: "GET", first: cutSafe},

		{name: "status", on: stream.RetryStatus, method: "POST", first: status(500), again: true},
		{name: "status 599", on: stream.RetryStatus, method: "POST", first: status(599), again: true},
		{name: "status 499", on: stream.RetryStatus, method: "GET", first: status(499)},
		{name: "status of an upgrade", on: stream.RetryStatus, method: "GET", first: status(503), change: func(r *stream.Request) { r.Upgrade = "websocket" }},
		{name: "status for errors", on: stream.RetryStatus, method: "GET", first: refused},
		{name: "errors for status", on: ^stream.RetryStatus, method: "GET", first: status(503)},

		{name: "grpc", on: stream.RetryGRPC, method: "POST", first: grpc, again: true},
		{name: "grpc, another", on: stream.RetryGRPC, method: "POST", first: status(200, "grpc-status", "5")},
		{name: "grpc, none", on: stream.RetryGRPC, method: "POST", first: status(200)},
		{name: "grpc, not a number", on: stream.RetryGRPC, method: "POST", first: status(200, "grpc-status", "x")},
		{name: "status for grpc", on: stream.RetryStatus, method: "POST", first: grpc},

		{name: "canceled", on: ^stream.RetryOn(0), method: "GET", first: fails(stream.Error{Kind: stream.Canceled, Retry: true})},
		{name: "no route", on: ^stream.RetryOn(0), method: "GET", first: fails(stream.Error{Kind: stream.NoCluster, Retry: true})},
		{name: "disabled", on: ^stream.RetryOn(0), method: "GET", first: refused, change: func(r *stream.Request) { r.Vars.Set(variable.DisableRetry, "true") }},
		{name: "not disabled", on: ^stream.RetryOn(0), method: "GET", first: refused, change: func(r *stream.Request) { r.Vars.Set(variable.DisableRetry, "false") }, again: true},
		{name: "disabled on the way", on: ^stream.RetryOn(0), method: "GET", first: func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			req.Vars.Set(variable.DisableRetry, "true")
			return refused(ctx, req)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := script(t, tt.first, status(204))
				req := request(tt.method, stream.Retry{Max: 3, On: tt.on, GRPC: []int{13, 14}})
				req.TryTimeout = try
				if tt.change != nil {
					tt.change(req)
				}
				resp, err := retry.New(to, nil).Handle(t.Context(), req)
				got := 0
				if err == nil {
					got = resp.Status
					ends(t, resp)
				}
				if want := 1; tt.again {
					if to.attempts() != 2 || got != 204 {
						t.Errorf("%d attempts, status %d, %v; want 2 and 204", to.attempts(), got, err)
					}
				} else if to.attempts() != want || got == 204 {
					t.Errorf("%d attempts, status %d, %v; want one", to.attempts(), got, err)
				}
			})
		})
	}
}

// The row's own example, and lists of statuses.
func TestG14Statuses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		max      int
		statuses []int
		answers  []int
		status   int
		attempts int
	}{
		{"500, 500, 200", 3, nil, []int{500, 500, 200}, 200, 3},
		{"used up", 2, nil, []int{500, 501, 502, 200}, 502, 3},
		{"listed", 3, []int{429}, []int{429, 200}, 200, 2},
		{"not listed", 3, []int{429}, []int{500, 200}, 500, 1},
		{"none allowed", 0, nil, []int{500, 200}, 500, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var steps []stream.HandlerFunc
			for _, a := range tt.answers {
				steps = append(steps, status(a))
			}
			to := script(t, steps...)
			resp, err := retry.New(to, nil).Handle(t.Context(), request("GET", stream.Retry{Max: tt.max, On: stream.RetryStatus, Statuses: tt.statuses}))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Status != tt.status || to.attempts() != tt.attempts {
				t.Errorf("status %d after %d attempts, want %d after %d", resp.Status, to.attempts(), tt.status, tt.attempts)
			}
			if got := ends(t, resp); got != "body" {
				t.Errorf("body %q", got)
			}
		})
	}
}

// The last error is the caller's, and says how many attempts there were.
func TestG14ErrorTellsAttempts(t *testing.T) {
	to := script(t, refused, cutSafe, cutRisky)
	req := request("GET", stream.Retry{Max: 5, On: stream.RetryConnect | stream.RetryReset})
	_, err := retry.New(to, nil).Handle(t.Context(), req)
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Kind != stream.Reset || e.Side != stream.Upstream || e.Retry || to.attempts() != 3 {
		t.Fatalf("%d attempts: %#v", to.attempts(), err)
	}
	if want := "upstream reset: after 3 attempts: exchange"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	// That one attempt was not safe is not forgotten.
	to = script(t, cutRisky, refused)
	_, err = retry.New(to, nil).Handle(t.Context(), request("POST", stream.Retry{Max: 1, On: stream.RetryResetAny}))
	if e := stream.AsError(err); e.Kind != stream.Connect || e.Retry {
		t.Errorf("%#v", e)
	}
	// The first is passed on as it is, whatever it is wrapped in.
	wrapped := fmt.Errorf("a filter: %w", &stream.Error{Kind: stream.Denied})
	to = script(t, func(context.Context, *stream.Request) (*stream.Response, error) { return nil, wrapped })
	if _, err = retry.New(to, nil).Handle(t.Context(), request("GET", stream.Retry{Max: 1})); err != wrapped { //nolint:errorlint // the very one
		t.Errorf("%v", err)
	}
}

// Between attempts a random time passes, within bounds that double.
func TestG14BackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const base, most = 100 * time.Millisecond, 300 * time.Millisecond
		bounds := []time.Duration{base, 2 * base, most, most}
		largest := make([]time.Duration, len(bounds))
		for range 300 {
			to := script(t, refused)
			_, err := retry.New(to, nil).Handle(t.Context(), request("GET", stream.Retry{Max: 4, On: stream.RetryConnect, Base: base, Cap: most}))
			if err == nil || to.attempts() != 5 {
				t.Fatalf("%d attempts, %v", to.attempts(), err)
			}
			for i, bound := range bounds {
				d := to.begun[i+1].Sub(to.begun[i])
				if d < 0 || d > bound {
					t.Fatalf("%v before retry %d, want at most %v", d, i+1, bound)
				}
				largest[i] = max(largest[i], d)
			}
		}
		for i, bound := range bounds {
			if largest[i] < bound*9/10 {
				t.Errorf("never more than %v of %v before retry %d", largest[i], bound, i+1)
			}
		}
		// None is waited for without a Base; without a Cap they only double.
		start := time.Now()
		_, _ = retry.New(script(t, refused), nil).Handle(t.Context(), request("GET", stream.Retry{Max: 9, On: stream.RetryConnect, Cap: most}))
		if d := time.Since(start); d != 0 {
			t.Errorf("%v without a base", d)
		}
		_, _ = retry.New(script(t, refused), nil).Handle(t.Context(), request("GET", stream.Retry{Max: 12, On: stream.RetryConnect, Base: base}))
		if d := time.Since(start); d < 10*most || d > 4096*base {
			t.Errorf("%v without a cap", d)
		}
	})
}

// A caller that goes away during the back-off ends it.
func TestG14CanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		to := script(t, refused)
		budget := &budget{most: 1}
		start := time.Now()
		time.AfterFunc(10*time.Millisecond, cancel)
		_, err := retry.New(to, budget).Handle(ctx, request("GET", stream.Retry{Max: 1, On: stream.RetryConnect, Base: 20 * time.Minute}))
		if e := stream.AsError(err); e.Kind != stream.Canceled || to.attempts() != 1 || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%v after %v and %d attempts", err, time.Since(start), to.attempts())
		}
		if budget.now != 0 {
			t.Errorf("%d retries are still counted", budget.now)
		}
		// Nor is anything sent for one who has gone meanwhile.
		ctx, cancel = context.WithCancel(t.Context())
		to = script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			cancel()
			return cutSafe(ctx, req)
		})
		if _, err = retry.New(to, nil).Handle(ctx, request("GET", stream.Retry{Max: 1, On: stream.RetryReset})); stream.AsError(err).Kind != stream.Reset || to.attempts() != 1 {
			t.Errorf("%v after %d attempts", err, to.attempts())
		}
	})
}

// No retry is begun that the time left does not allow for.
func TestG13DeadlineWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		req := request("GET", stream.Retry{Max: 100, On: stream.RetryTry, Base: time.Nanosecond, Cap: time.Nanosecond})
		req.Deadline = time.Now().Add(time.Second)
		req.TryTimeout = 300 * time.Millisecond
		to := script(t, expires)
		start, deadline := time.Now(), req.Deadline
		_, err := retry.New(to, nil).Handle(t.Context(), req)
		if d := time.Since(start); d != time.Second || to.attempts() != 4 {
			t.Errorf("%v, %d attempts; want a second and 4", d, to.attempts())
		}
		// The fourth had no limit of its own any more.
		if e := stream.AsError(err); e.Kind != stream.Timeout || strings.Contains(err.Error(), "one attempt") {
			t.Errorf("%v", err)
		}
		if req.Deadline != deadline {
			t.Errorf("the request's deadline has changed")
		}

		to = script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			timer := time.NewTimer(time.Second)
			<-timer.C
			return refused(ctx, req)
		})
		req = request("GET", stream.Retry{Max: 100, On: stream.RetryConnect})
		req.Deadline = time.Now().Add(time.Second)
		_, err = retry.New(to, nil).Handle(t.Context(), req)
		if want := "upstream connect: connect (no time is left for another)"; err == nil || err.Error() != want || to.attempts() != 1 {
			t.Errorf("%v after %d attempts", err, to.attempts())
		}
		// So it is with a context's deadline.
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		to = script(t, to.steps[0])
		req = request("GET", stream.Retry{Max: 100, On: stream.RetryConnect, Base: time.Nanosecond})
		_, err = retry.New(to, nil).Handle(ctx, req)
		if err == nil || to.attempts() != 2 {
			t.Errorf("%v after %d attempts", err, to.attempts())
		}
	})
}

// The time for an attempt is told apart from that for the exchange, also when
// it ends in the middle of the answer, and without any policy.
func TestG13TryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		req := &stream.Request{Method: "GET", TryTimeout: time.Second, Deadline: time.Now().Add(time.Minute)}
		start := time.Now()
		_, err := retry.New(script(t, expires), nil).Handle(t.Context(), req)
		const want = "upstream timeout: exchange: the 1s that one attempt may take are over"
		if err == nil || err.Error() != want || time.Since(start) != time.Second {
			t.Errorf("%q after %v, want %q after 1s", err, time.Since(start), want)
		}

		slow := func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				_, _ = pw.Write([]byte("some"))
				<-time.After(time.Until(req.Deadline))
				pw.CloseWithError(&stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Op: "body"})
			}()
			return &stream.Response{Status: 200, ContentLength: -1, Body: pr}, nil
		}
		resp, err := retry.New(script(t, slow), nil).Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if string(got) != "some" || err == nil || !strings.Contains(err.Error(), "the 1s that one attempt may take are over") {
			t.Errorf("%q, %v", got, err)
		}
		_ = resp.Close()

		// As long as the whole exchange: void.
		req = &stream.Request{Method: "GET", TryTimeout: time.Second, Deadline: time.Now().Add(time.Second)}
		_, err = retry.New(script(t, expires), nil).Handle(t.Context(), req)
		if err == nil || err.Error() != "upstream timeout: exchange" {
			t.Errorf("%v", err)
		}
		// What begins with a 101 is not bounded.
		req = &stream.Request{Method: "GET", Upgrade: "x", TryTimeout: time.Second}
		resp, err = retry.New(script(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			resp, err := slow(ctx, req)
			resp.Status = 101
			return resp, err
		}), nil).Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(resp.Body); err == nil || strings.Contains(err.Error(), "attempt") {
			t.Errorf("%v", err)
		}
		_ = resp.Close()
	})
}

// budget is a Limits.
type budget struct {
	most, now, asked int
}

func (b *budget) BeginRetry() (func(), bool) {
	b.asked++
	if b.now >= b.most {
		return nil, false
	}
	b.now++
	once := false
	return func() {
		if once {
			panic("done twice")
		}
		once = true
		b.now--
	}, true
}

// Retries are counted from their beginning until their answer is closed, and
// refused beyond the limit: the caller gets what there is.
func TestI11RetriesAreLimited(t *testing.T) {
	b := &budget{most: 1}
	p := stream.Retry{Max: 3, On: stream.RetryConnect | stream.RetryStatus}
	h := retry.New(script(t, status(503), refused, status(200)), b)
	resp, err := h.Handle(t.Context(), request("GET", p))
	if err != nil || resp.Status != 200 || b.asked != 2 || b.now != 1 {
		t.Fatalf("%v, asked %d, %d under way", err, b.asked, b.now)
	}

	// While that one is read, no other may begin.
	other, err := retry.New(script(t, status(503)), b).Handle(t.Context(), request("GET", p))
	if err != nil || other.Status != 503 || ends(t, other) != "body" {
		t.Fatalf("%v", err)
	}
	to := script(t, refused)
	_, err = retry.New(to, b).Handle(t.Context(), request("GET", p))
	if want := "upstream connect: connect (no more retries at a time are allowed)"; err == nil || err.Error() != want || to.attempts() != 1 {
		t.Errorf("%v after %d attempts", err, to.attempts())
	}
	ends(t, resp)
	if b.now != 0 {
		t.Errorf("%d retries under way at the end", b.now)
	}

	// First attempts are not counted, failures and panics end the count.
	asked := b.asked
	resp, err = retry.New(script(t, status(200)), b).Handle(t.Context(), request("GET", p))
	if err != nil || b.asked != asked {
		t.Errorf("%v, asked %d times for nothing", err, b.asked-asked)
	}
	ends(t, resp)
	_, _ = retry.New(script(t, refused), b).Handle(t.Context(), request("GET", p))
	if b.now != 0 {
		t.Errorf("%d under way after a failure", b.now)
	}
	func() {
		defer func() {
			if recover() == nil || b.now != 0 {
				t.Errorf("%d under way after a panic", b.now)
			}
		}()
		h := retry.New(script(t, refused, func(context.Context, *stream.Request) (*stream.Response, error) { panic("!") }), b)
		_, _ = h.Handle(t.Context(), request("GET", p))
	}()
	// A retry without an answer to close is over when it is answered.
	oneway := request("call", p)
	oneway.OneWay = true
	resp, err = retry.New(script(t, refused, func(context.Context, *stream.Request) (*stream.Response, error) {
		return stream.NoResponse, nil
	}), b).Handle(t.Context(), oneway)
	if err != nil || resp != stream.NoResponse || b.now != 0 {
		t.Errorf("%v, %v, %d under way", resp, err, b.now)
	}
}

// What layers below do to the request for one host is not there for the next,
// nor for the caller; what they found out is.
func TestH20AttemptsAreIndependent(t *testing.T) {
	var seen []string
	change := func(then stream.HandlerFunc) stream.HandlerFunc {
		return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			seen = append(seen, fmt.Sprintf("%s %d %q", req.Authority, req.Header.Len(), req.Tried))
			req.Authority = "changed"
			req.Header.Set("A", "changed")
			req.Header.Add("B", "added")
			req.Info.Connected += time.Second
			req.Vars.Set("n", fmt.Sprint(req.Info.Attempts))
			return then(ctx, req)
		}
	}
	req := request("GET", stream.Retry{Max: 5, On: stream.RetryConnect | stream.RetryStatus})
	req.Authority, req.Native, req.Info.ID = "example.com", "frame", "id"
	req.Header.Add("a", "1")
	to := script(t, change(refused), change(status(500)), change(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if req.Native != "frame" || req.Info.ID != "id" {
			t.Errorf("%v, %v", req.Native, req.Info)
		}
		resp, err := status(200)(ctx, req)
		resp.Body = &lastly{ReadCloser: resp.Body, f: func() { req.Info.Connected += time.Hour }}
		return resp, err
	}))
	resp, err := retry.New(to, nil).Handle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	ends(t, resp)
	want := []string{`example.com 1 ["host1"]`, `example.com 1 ["host1" "host2"]`, `example.com 1 ["host1" "host2" "host3"]`}
	if !slices.Equal(seen, want) {
		t.Errorf("attempts saw %q, want %q", seen, want)
	}
	if req.Authority != "example.com" || req.Header.Len() != 1 || req.Header.Get("a") != "1" {
		t.Errorf("the caller's request is changed: %s %v", req.Authority, req.Header)
	}
	n, _ := req.Vars.Get("n")
	if i := req.Info; i.Attempts != 3 || i.Host != "host3" || i.Connected != time.Hour+3*time.Second || n != "3" || len(req.Tried) != 3 {
		t.Errorf("noted: %+v, %q, %q", i, n, req.Tried)
	}
}

// An answer that is not taken is read to its end if that is there already, so
// that its connection is kept; nobody waits for one, or reads a long one.
func TestG14FailedAnswersAreDrained(t *testing.T) {
	for _, tt := range []struct {
		name string
		body io.Reader
		ends bool
		most int
	}{
		{"there", text{Reader: strings.NewReader(strings.Repeat("x", 9000))}, true, 9000},
		{"long", text{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}, false, retry.DrainLimit},
		{"to come", strings.NewReader("x"), false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			count := &counter{Reader: tt.body}
			closed := false
			to := script(t, func(context.Context, *stream.Request) (*stream.Response, error) {
				body := struct {
					io.Reader
					io.Closer
				}{count, text{closed: &closed}}
				if !tt.ends && tt.most == 0 {
					return &stream.Response{Status: 500, Body: body}, nil
				}
				return &stream.Response{Status: 500, Body: text{Reader: count, closed: &closed}}, nil
			}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				if !closed {
					t.Error("the next attempt begins before the answer was closed")
				}
				return status(200)(ctx, req)
			})
			resp, err := retry.New(to, nil).Handle(t.Context(), request("GET", stream.Retry{Max: 1, On: stream.RetryStatus}))
			if err != nil {
				t.Fatal(err)
			}
			ends(t, resp)
			if count.ended != tt.ends || count.n > tt.most {
				t.Errorf("%d bytes were read, ended: %v", count.n, count.ended)
			}
		})
	}
}

type counter struct {
	io.Reader
	n     int
	ended bool
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	c.ended = c.ended || err == io.EOF
	return n, err
}

// Without a policy the request passes as it is.
func TestWithoutPolicy(t *testing.T) {
	req := &stream.Request{Method: "GET", Policy: &stream.Policy{}}
	var got *stream.Request
	h := retry.New(stream.HandlerFunc(func(_ context.Context, r *stream.Request) (*stream.Response, error) {
		got = r
		return stream.NoResponse, nil
	}), &budget{})
	if _, err := h.Handle(t.Context(), req); err != nil || got != req {
		t.Errorf("%v, %p instead of %p", err, got, req)
	}
}

// ready is a body that is read again and again.
type ready struct{ rest, all string }

func (b *ready) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; b.rest == "" {
		return n, io.EOF
	}
	return n, nil
}
func (b *ready) Ready() bool  { return true }
func (b *ready) Close() error { b.rest = b.all; return nil }

func cost(b testing.TB, req *stream.Request) func() {
	resp, body := &stream.Response{Status: 200}, &ready{"x", "x"}
	buf := make([]byte, 4096)
	h := retry.New(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		if req.Body != nil {
			for {
				if _, err := req.Body.Read(buf); err != nil {
					break
				}
			}
			_ = req.Body.Close()
		}
		resp.Body = body
		return resp, nil
	}), nil)
	in := &ready{strings.Repeat("x", 1000), strings.Repeat("x", 1000)}
	ctx := b.Context()
	return func() {
		if req.ContentLength > 0 {
			_ = in.Close()
			req.Body = in
		}
		resp, err := h.Handle(ctx, req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = resp.Body.Read(buf)
		_ = resp.Close()
	}
}

func costs() map[string]*stream.Request {
	p := stream.Retry{Max: 3, On: stream.RetryConnect | stream.RetryReset | stream.RetryStatus, Base: time.Millisecond}
	list := map[string]*stream.Request{"none": {Method: "GET"}, "get": request("GET", p), "post": request("POST", p), "try": {Method: "GET", TryTimeout: time.Second}}
	list["post"].ContentLength = 1000
	for _, r := range list {
		for i := range 8 {
			r.Header.Add(fmt.Sprintf("field-%d", i), "value")
		}
	}
	return list
}

// A request that succeeds at once costs no memory.
func TestCostOfSuccess(t *testing.T) {
	for name, req := range costs() {
		call := cost(t, req)
		call()
		if n := testing.AllocsPerRun(200, call); n > 0.5 && !raceEnabled {
			t.Errorf("%s: %.1f allocations", name, n)
		}
	}
}

func BenchmarkSuccess(b *testing.B) {
	for name, req := range costs() {
		b.Run(name, func(b *testing.B) {
			call := cost(b, req)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
