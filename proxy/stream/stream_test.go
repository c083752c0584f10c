package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func fields(h *Header) string {
	var s []string
	for name, value := range h.All() {
		s = append(s, name+"="+value)
	}
	return strings.Join(s, " ")
}

func TestHeader(t *testing.T) {
	fill := func() *Header {
		h := new(Header)
		h.Add("A", "1")
		h.Add("B", "2")
		h.AddBytes([]byte("a"), []byte("3"))
		h.Add("C", "")
		return h
	}
	for _, c := range []struct {
		name   string
		change func(*Header)
		want   string
	}{
		{"as it came", func(*Header) {}, "A=1 B=2 a=3 C="},
		{"set", func(h *Header) { h.Set("a", "x") }, "A=x B=2 C="},
		{"set one", func(h *Header) { h.Set("b", "x") }, "A=1 B=x a=3 C="},
		{"set new", func(h *Header) { h.Set("D", "x") }, "A=1 B=2 a=3 C= D=x"},
		{"delete", func(h *Header) { h.Del("a") }, "B=2 C="},
		{"delete none", func(h *Header) { h.Del("x") }, "A=1 B=2 a=3 C="},
		{"delete some", func(h *Header) { h.DelFunc(func(f Field) bool { return f.Value > "1" }) }, "A=1 C="},
		{"delete all", func(h *Header) { h.DelFunc(func(Field) bool { return true }) }, ""},
		{"reset", func(h *Header) { h.Reset(); h.Add("x", "y") }, "x=y"},
		{"copy of itself", func(h *Header) { h.CopyFrom(h) }, "A=1 B=2 a=3 C="},
	} {
		h := fill()
		c.change(h)
		if got := fields(h); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	h := fill()
	if v, ok := h.Lookup("c"); v != "" || !ok {
		t.Error("an empty value is not there")
	}
	if v, ok := h.Lookup("d"); v != "" || ok || h.Get("d") != "" {
		t.Error("a field that is not there is found")
	}
	if got := slices.Collect(h.Values("A")); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("values %q", got)
	}
	for range h.Values("A") {
		break
	}
	for range h.All() {
		break
	}
	if h.At(1) != (Field{"B", "2"}) || h.Len() != 4 {
		t.Error("At or Len")
	}
	var other Header
	other.CopyFrom(h)
	h.Set("A", "changed")
	if fields(&other) != "A=1 B=2 a=3 C=" {
		t.Errorf("a copy changed with what it was made of: %s", fields(&other))
	}
}

// Strings that were handed out never change, whatever is done with the header.
func TestHeaderStringsStay(t *testing.T) {
	var h Header
	var kept, want []string
	for round := range 20 {
		for size := range 100 {
			b := []byte(strings.Repeat(string(rune('a'+size%26)), size*3))
			kept, want = append(kept, h.Intern(b)), append(want, string(b))
			clear(b)
		}
		if round%3 == 0 {
			h.Reset()
		}
	}
	if !slices.Equal(kept, want) {
		t.Error("a string changed")
	}
}

func TestEqualName(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"a", "A", true},
		{"Content-Length", "content-LENGTH", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"[", "{", false},
		{"@", "`", false},
		{"\xe4", "\xc4", false},
		{"\u212a", "k", false},
		{"cloſe", "close", false},
	} {
		if EqualName(c.a, c.b) != c.want || EqualName(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, !c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	e := &Error{Kind: Connect, Side: Upstream, Op: "dial x", Err: cause}
	if got := e.Error(); got != "upstream connect: dial x: cause" {
		t.Errorf("got %q", got)
	}
	if got := Errorf(NoRoute, Local, "path %s", "/a").Error(); got != "no route: path /a" {
		t.Errorf("got %q", got)
	}
	if !errors.Is(e, cause) || AsError(fmt.Errorf("around: %w", e)) != e {
		t.Error("the chain is broken")
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		got  *Error
		kind Kind
		side Side
	}{
		{AsError(late.Err()), Timeout, Local},
		{AsError(canceled.Err()), Canceled, Downstream},
		{AsError(cause), Internal, Local},
		{FromContext(late, "x"), Timeout, Local},
		{FromContext(canceled, "x"), Canceled, Downstream},
	} {
		if c.got.Kind != c.kind || c.got.Side != c.side || c.got.Err == nil {
			t.Errorf("got %v, want %v %v", c.got, c.side, c.kind)
		}
	}
	statuses := map[Kind]int{
		Internal: 500, BadMessage: 400, TooLarge: 413, NoRoute: 404, NoCluster: 503, NoHost: 503, Overload: 503,
		Connect: 503, Reset: 502, Timeout: 504, Canceled: 499, Stopping: 503, Denied: 403,
	}
	for k := range kindNames {
		kind := Kind(k)
		e := &Error{Kind: kind}
		if e.Status() != statuses[kind] || kind.String() == "" {
			t.Errorf("%v: status %d", kind, e.Status())
		}
		if back, ok := ParseProxyStatus(e.ProxyStatus()); !ok || back != kind {
			t.Errorf("%v: Proxy-Status %q is read as %v", kind, e.ProxyStatus(), back)
		}
	}
	if (&Error{Kind: BadMessage, Side: Upstream}).Status() != 502 || (&Error{Kind: TooLarge, Side: Upstream}).Status() != 502 {
		t.Error("what a host does wrong is 502")
	}
	if unknown := Kind(200); unknown.String() != "kind 200" || (&Error{Kind: unknown}).Status() != 500 || (&Error{Kind: unknown}).ProxyStatus() == "" {
		t.Error("an unknown kind")
	}
	for _, foreign := range []string{"", "other; error=http_protocol_error", "ottavo; error=else"} {
		if _, ok := ParseProxyStatus(foreign); ok {
			t.Errorf("%q is taken for ours", foreign)
		}
	}
}

func TestChain(t *testing.T) {
	var order []string
	filter := func(name string) Filter {
		return func(next Handler) Handler {
			return HandlerFunc(func(ctx context.Context, req *Request) (*Response, error) {
				order = append(order, name)
				return next.Handle(ctx, req)
			})
		}
	}
	h := Chain(HandlerFunc(func(context.Context, *Request) (*Response, error) { return NoResponse, nil }), filter("a"), filter("b"))
	if resp, err := h.Handle(t.Context(), new(Request)); resp != NoResponse || err != nil || strings.Join(order, "") != "ab" {
		t.Error(resp, err, order)
	}
}

type body struct {
	io.Reader
	ready, buffered bool
	closed          int
}

func (b *body) Ready() bool    { return b.ready }
func (b *body) Buffered() bool { return b.buffered }
func (b *body) Close() error   { b.closed++; return nil }

func TestMessages(t *testing.T) {
	req := &Request{Method: "PUT", Path: "/", Body: &body{}, HasQuery: true, Deadline: time.Now(), Native: 1}
	req.Header.Add("a", "b")
	req.Trailer.Add("a", "b")
	if req.Replayable() || !req.Idempotent() {
		t.Error("a PUT with a body")
	}
	if req.Reset(); req.Header.Len() != 0 || req.Trailer.Len() != 0 || req.Method != "" || req.Body != nil || req.HasQuery || !req.Deadline.IsZero() || req.Native != nil {
		t.Errorf("after Reset: %+v", req)
	}
	if req.Method = "GET"; req.Idempotent() {
		t.Error("a method called GET of a service that is not HTTP's")
	}
	if req.Method, req.Path = "POST", "/"; req.Idempotent() || !req.Replayable() {
		t.Error("a POST without body")
	}
	at := time.Unix(100, 0)
	if req.Limit(at); !req.Deadline.Equal(at) {
		t.Error("the first limit")
	}
	if req.Limit(at.Add(1)); !req.Deadline.Equal(at) {
		t.Error("a later limit")
	}
	if req.Limit(at.Add(-1)); !req.Deadline.Equal(at.Add(-1)) {
		t.Error("an earlier limit")
	}
	b := &body{}
	resp := &Response{Status: 200, Body: b}
	_ = resp.Close()
	if resp.Reset(); b.closed != 1 || resp.Body != nil || resp.Close() != nil || (*Response)(nil).Close() != nil || NoResponse.Close() != nil {
		t.Error("Close")
	}
	for _, c := range []struct {
		body            io.Reader
		ready, buffered bool
	}{
		{strings.NewReader("x"), false, false}, {&body{ready: true}, true, true}, {&body{buffered: true}, false, true}, {&body{}, false, false},
	} {
		if BodyReady(c.body) != c.ready || BodyBuffered(c.body) != c.buffered {
			t.Errorf("%+v", c.body)
		}
	}
}

func TestLife(t *testing.T) {
	type key struct{}
	for _, end := range []string{"cancel", "parent"} {
		synctest.Test(t, func(t *testing.T) {
			parent, cancelParent := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
			l, cancel := NewLife(parent)
			defer cancel()
			defer cancelParent()
			plain, cancelPlain := context.WithCancel(l)
			defer cancelPlain()
			var called [5]atomic.Int32
			var ends [5]End
			for i := range ends {
				ends[i].Func = func() { called[i].Add(1) }
				if i == 4 {
					ends[i].Watch(plain)
				} else {
					ends[i].Watch(l)
				}
			}
			// The first, the middle, the last of the list; and again.
			for _, i := range []int{1, 0, 2} {
				if !ends[i].Stop() {
					t.Errorf("End %d was called", i)
				}
			}
			if !ends[2].Stop() {
				t.Error("Stop when nothing is watched")
			}
			ends[2].Watch(l)
			if l.Err() != nil || l.Value(key{}) != 1 {
				t.Error("it is not what its parent is")
			}
			if end == "parent" {
				cancelParent()
			} else {
				cancel()
			}
			<-l.Done()
			synctest.Wait()
			for i, want := range []int32{0, 0, 1, 1, 1} {
				if got := called[i].Load(); got != want {
					t.Errorf("End %d was called %d times, want %d", i, got, want)
				}
				if i >= 2 && ends[i].Stop() {
					t.Errorf("Stop of End %d, which was called, is true", i)
				}
			}
			ends[0].Watch(l) // has ended already
			synctest.Wait()
			if called[0].Load() != 1 || ends[0].Stop() {
				t.Error("not called when the context has ended already")
			}
			var never End
			never.Watch(context.WithoutCancel(l))
			if !never.Stop() {
				t.Error("a context without end has ended")
			}
		})
	}
}

// Stop and the end at the same moment: Func is called, or it is not and Stop
// says so.
func TestLifeRace(t *testing.T) {
	for range 2000 {
		l, cancel := NewLife(t.Context())
		called := make(chan struct{})
		end := End{Func: func() { close(called) }}
		end.Watch(l)
		var wg sync.WaitGroup
		wg.Go(cancel)
		if !end.Stop() {
			<-called
		}
		wg.Wait()
	}
}

func BenchmarkEnd(b *testing.B) {
	l, cancel := NewLife(b.Context())
	defer cancel()
	end := End{Func: func() {}}
	b.ReportAllocs()
	for b.Loop() {
		end.Watch(l)
		end.Stop()
	}
}
