package transcoder_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const fuzzLimit = 10000

// fuzzRequests gives bodies of all kinds to a converter, as those of requests and
// as those of answers.
func fuzzRequests(f *testing.F, name string, ask func(body []byte) *stream.Request) {
	places, err := transcoder.Spec(transcoder.Builtin()...).Make(filter.Env{}, object{"type": name, "max_body_size": fuzzLimit})
	if err != nil {
		f.Fatal(err)
	}
	rpc := strings.HasSuffix(name, "http")
	f.Fuzz(func(t *testing.T, body []byte) {
		read := func(r io.Reader) []byte {
			if r == nil {
				return nil
			}
			b, err := io.ReadAll(r)
			if err != nil || len(b) > fuzzLimit+200 { // a refusal may say a bit more
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			return b
		}
		next := stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			sent := read(req.Body)
			switch {
			case rpc && len(sent) > 0 && !json.Valid(sent):
				t.Fatalf("the host was sent %q", sent)
			case name == "http2dubbo":
				header := new(stream.Header)
				header.CopyFrom(&req.Header)
				m := frame.Message{Type: frame.Request, Method: req.Method, Header: header, Body: sent}
				if _, err := (dubbo.Codec{}).Append(nil, &m); err != nil {
					t.Fatalf("%q is no call: %v", sent, err)
				}
			}
			resp := &stream.Response{Status: 200, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(string(body)))}
			if name == "http2dubbo" {
				resp.Header.Add(frame.StatusField, "20")
			}
			return resp, nil
		})
		h := stream.Chain(next, places.AfterRoute...)
		for _, sent := range [][]byte{body, []byte(`[1]`), []byte(dubboBody("s", "m", "", nil))} {
			req := ask(sent)
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader(string(sent))), int64(len(sent))
			resp, err := h.Handle(t.Context(), req)
			if err != nil {
				continue
			}
			if b := read(resp.Body); !rpc && len(b) > 0 && !json.Valid(b) {
				t.Fatalf("status %d, %q", resp.Status, b)
			}
			_ = resp.Close()
		}
	})
}

// Whatever a caller of HTTP sends, and a Dubbo service answers, the one gets JSON
// and the other a call.
func FuzzHTTPToDubbo(f *testing.F) {
	for _, s := range []string{`[1,"a",{"b":null}]`, `{}`, ``, `"x"`, "\x91\x01a", "\x94\x01aHZ", "\x90C\x01E\x91\x0ddetailMessage\x60\x01x", "\x92"} {
		f.Add([]byte(s))
	}
	fuzzRequests(f, "http2dubbo", func([]byte) *stream.Request {
		return &stream.Request{Protocol: "Http1", Method: "POST", Path: "/s/m"}
	})
}

// The same for Bolt.
func FuzzHTTPToBolt(f *testing.F) {
	for _, s := range []string{`[1,"a",{"b":null}]`, `{}`, ``, `"x"`, "\xff"} {
		f.Add([]byte(s))
	}
	fuzzRequests(f, "http2bolt", func([]byte) *stream.Request {
		return &stream.Request{Protocol: "Http1", Method: "POST", Path: "/s/m"}
	})
}

// Whatever a path is, it says the same as the path that is made of what it says.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/s/m", "/com.shop.Pay:1.0/re%2Ffund", "/%2E/..", "/a//", "/a/%zz", "/ä/%00"} {
		f.Add(s)
	}
	there, err := transcoder.Spec(transcoder.Builtin()...).Make(filter.Env{}, object{"type": "http2bolt"})
	if err != nil {
		f.Fatal(err)
	}
	back, err := transcoder.Spec(transcoder.Builtin()...).Make(filter.Env{}, object{"type": "bolt2http"})
	if err != nil {
		f.Fatal(err)
	}
	type call struct{ service, method string }
	f.Fuzz(func(t *testing.T, path string) {
		find := func(path string) (c call, ok bool) {
			h := stream.Chain(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
				c, ok = call{req.Header.Get("service"), req.Method}, true
				return &stream.Response{Status: 200}, nil
			}), there.AfterRoute...)
			_, _ = h.Handle(t.Context(), &stream.Request{Protocol: "Http1", Method: "POST", Path: path})
			return c, ok
		}
		c, ok := find(path)
		if !ok {
			return
		}
		var made string
		h := stream.Chain(stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			made = req.Path
			return &stream.Response{Status: 200}, nil
		}), back.AfterRoute...)
		req := &stream.Request{Protocol: "bolt", Method: c.method}
		req.Header.Add("service", c.service)
		_, _ = h.Handle(t.Context(), req)
		if again, ok := find(made); !ok || again != c {
			t.Fatalf("%q is %+v, %q is %+v", path, c, made, again)
		}
	})
}
