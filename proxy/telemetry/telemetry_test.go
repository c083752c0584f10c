package telemetry_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capture keeps copies of records.
type capture struct{ got []telemetry.Record }

func (c *capture) Record(r *telemetry.Record) { c.got = append(c.got, *r) }

// body is an answer's body that may end in an error, and counts its Closes.
type body struct {
	io.Reader
	err    error
	closed int
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *body) Close() error { b.closed++; return nil }

func text(s string) *body { return &body{Reader: strings.NewReader(s)} }

func TestOneRecordPerExchange(t *testing.T) {
	broken := stream.Errorf(stream.Reset, stream.Upstream, "broken")
	full := func(t *testing.T, resp *stream.Response) {
		if _, err := io.ReadAll(resp.Body); err != nil && !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	nothing := func(*testing.T, *stream.Response) {}
	for _, c := range []struct {
		name   string
		method string
		resp   *stream.Response
		err    error
		read   func(*testing.T, *stream.Response)
		status int
		late   bool   // the exchange's time is over when the answer is closed
		want   string // of the error
	}{
		{name: "whole body", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: 5}, read: full, status: 200},
		{name: "body of unknown length", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: -1}, read: full, status: 200},
		{name: "no body", resp: &stream.Response{Status: 204}, read: nothing, status: 204},
		{name: "no body, read all the same", resp: &stream.Response{Status: 204}, read: full, status: 204},
		{name: "empty body", resp: &stream.Response{Status: 200, Body: text("")}, read: nothing, status: 200},
		{name: "HEAD", method: "HEAD", resp: &stream.Response{Status: 200, Body: text(""), ContentLength: 99}, read: nothing, status: 200},
		{name: "304", resp: &stream.Response{Status: 304, Body: text(""), ContentLength: 99}, read: nothing, status: 304},
		{name: "an error's status is no error", resp: &stream.Response{Status: 500, Body: text("x"), ContentLength: 1}, read: full, status: 500},
		{
			name: "read without its EOF", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: 5}, status: 200,
			read: func(_ *testing.T, r *stream.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 5)) },
		},
		{
			name: "closed early", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: 5}, status: 200,
			read: func(_ *testing.T, r *stream.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 2)) },
			want: "downstream canceled: the answer was not taken to its end",
		},
		{
			name: "closed early, unknown length", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: -1}, status: 200,
			read: nothing, want: "downstream canceled: the answer was not taken to its end",
		},
		{
			name: "closed late", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: 5}, status: 200, late: true,
			read: func(_ *testing.T, r *stream.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 2)) },
			want: "downstream timeout: the answer was not taken to its end in time",
		},
		{name: "whole in time", resp: &stream.Response{Status: 200, Body: text("hello"), ContentLength: 5}, read: full, status: 200, late: true},
		{
			name: "shorter than said", resp: &stream.Response{Status: 200, Body: text("hel"), ContentLength: 5}, status: 200,
			read: full, want: "internal: the answer was shorter than its length",
		},
		{
			name: "broken body", resp: &stream.Response{Status: 200, Body: &body{Reader: strings.NewReader("hel"), err: broken}, ContentLength: 5}, status: 200,
			read: full, want: "upstream reset: broken",
		},
		{name: "failed", err: &stream.Error{Kind: stream.Timeout, Side: stream.Upstream, Op: "read"}, status: 504, want: "upstream timeout: read"},
		{name: "failed with another's error", err: context.Canceled, status: 499, want: "context canceled"},
		{name: "one-way", resp: stream.NoResponse, read: nothing, status: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := &capture{}, &capture{}
				h := telemetry.Handler(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					req.Info.Route, req.Info.Cluster, req.Info.Host = "r", "c", "h:1"
					req.UpstreamProtocol = "Http1"
					time.Sleep(2 * time.Second)
					return c.resp, c.err
				}), first, second)
				req := &stream.Request{Protocol: "Http1", Method: c.method, Authority: "pay", Path: "/p"}
				req.Info.Start = time.Now()
				if c.late {
					req.Deadline = req.Info.Start.Add(3 * time.Second)
				}
				want := 2 * time.Second
				inner := stream.NoResponse.Body
				if c.resp != nil {
					inner = c.resp.Body
				}
				resp, err := h.Handle(t.Context(), req)
				if !errors.Is(err, c.err) {
					t.Fatalf("error %v, want %v", err, c.err)
				}
				if err == nil && resp != stream.NoResponse {
					if len(first.got) != 0 {
						t.Error("recorded before the end")
					}
					time.Sleep(time.Second)
					want += time.Second
					c.read(t, resp)
					_ = resp.Close()
					if b, ok := inner.(*body); ok && b.closed != 1 {
						t.Errorf("the body was closed %d times", b.closed)
					}
				}
				if stream.NoResponse.Body != nil {
					t.Fatal("the answer that everybody shares was changed")
				}
				if len(first.got) != 1 || len(second.got) != 1 {
					t.Fatalf("%d and %d records, want one each", len(first.got), len(second.got))
				}
				r := first.got[0]
				if r.Status != c.status || r.Duration != want || r.FirstByte != 2*time.Second || r.Route != "r" || r.Cluster != "c" || r.Host != "h:1" ||
					r.Protocol != "Http1" || r.UpstreamProtocol != "Http1" || r.Method != c.method || r.Authority != "pay" || r.Path != "/p" {
					t.Errorf("record %+v", r)
				}
				if got := ""; r.Err != nil {
					got = r.Err.Error()
					if got != c.want {
						t.Errorf("error %q, want %q", got, c.want)
					}
				} else if c.want != "" {
					t.Errorf("no error, want %q", c.want)
				}
			})
		})
	}
}

func TestRecordOfARejectedRequest(t *testing.T) {
	c := &capture{}
	h := telemetry.Handler(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		t.Error("it was handled")
		return stream.NoResponse, nil
	}), c)
	req := &stream.Request{Protocol: "Http1", Info: stream.Info{Start: time.Now(), Listener: "egress"}}
	h.(stream.Rejecter).Reject(t.Context(), req, 400, stream.Errorf(stream.BadMessage, stream.Downstream, "no Host field"))
	if len(c.got) != 1 || c.got[0].Status != 400 || c.got[0].Listener != "egress" || c.got[0].Err.Error() != "downstream bad message: no Host field" {
		t.Errorf("%+v", c.got)
	}
}

func TestRecordOfAPanic(t *testing.T) {
	c := &capture{}
	h := telemetry.Handler(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) { panic("defect") }), c)
	func() {
		defer func() {
			if recover() != "defect" {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = h.Handle(t.Context(), &stream.Request{})
	}()
	if len(c.got) != 1 || c.got[0].Status != 500 || c.got[0].Err == nil {
		t.Errorf("%+v", c.got)
	}
}

// count is a Sink that costs nothing itself.
type count struct{ n int }

func (c *count) Record(*telemetry.Record) { c.n++ }

// again is a body that can be read again and again.
type again struct{ left int }

func (a *again) Read(p []byte) (int, error) {
	n := min(a.left, len(p))
	if a.left -= n; a.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (a *again) Close() error { return nil }

func BenchmarkHandler(b *testing.B) {
	sink := &count{}
	resp, content := &stream.Response{Status: 200, ContentLength: 1024}, &again{}
	h := telemetry.Handler(stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		content.left = 1024
		resp.Body = content
		return resp, nil
	}), sink)
	req := &stream.Request{Method: "GET", Path: "/"}
	buf := make([]byte, 2048)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		req.Info.Start = time.Now()
		resp, _ := h.Handle(ctx, req)
		_, _ = resp.Body.Read(buf)
		_ = resp.Close()
	}
	if sink.n == 0 {
		b.Error("no records")
	}
}
