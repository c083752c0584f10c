package http2

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// offer encodes settings as HTTP2-Settings does.
func offer(settings ...xhttp2.Setting) string {
	var b []byte
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func newServer(t testing.TB) protocol.Successor {
	t.Helper()
	srv, err := Protocol{}.NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return srv.(protocol.Successor)
}

func TestSucceedTakesOffers(t *testing.T) {
	srv := newServer(t)
	for _, c := range []struct {
		name, token, value string
		want               bool
	}{
		{"curl's", "h2c", "AAMAAABkAAQCAAAAAAIAAAAA", true},
		{"nghttp's", "h2c", "AAMAAABkAAQAAP__", true},
		{"none", "h2c", "", true},
		{"unknown settings", "h2c", offer(xhttp2.Setting{ID: 0xfafa, Val: 1}), true},
		{"many", "h2c", offer(make([]xhttp2.Setting, maxOffered)...), true},
		{"too many", "h2c", offer(make([]xhttp2.Setting, maxOffered+1)...), false},
		{"another protocol", "h2", "", false},
		{"padding", "h2c", "AAMAAABkAAQAAP8=", false},
		{"the other alphabet", "h2c", "AAMAAABkAAQAAP//", false},
		{"half a setting", "h2c", "AAMAAABkAAQA", false},
		{"no base64", "h2c", "AAMAAABkAAQ*", false},
		{"line end", "h2c", "AAMA\nAABk", false},
		{"bits left over", "h2c", "AAMAAABkAB", false},
		{"push", "h2c", offer(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 2}), false},
		{"window", "h2c", offer(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 31}), false},
		{"small frames", "h2c", offer(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1<<14 - 1}), false},
		{"large frames", "h2c", offer(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1 << 24}), false},
	} {
		if got := srv.Succeed(c.token, c.value) != nil; got != c.want {
			t.Errorf("%s: taken %v", c.name, got)
		}
	}
}

// succeeded is a caller whose GET was taken over with these settings.
func succeeded(t testing.TB, h stream.Handler, settings ...xhttp2.Setting) (p *peer, c *conn.Conn, wait func() error) {
	a, b := conn.Pipe()
	c = conn.New(b)
	take := newServer(t).Succeed("h2c", offer(settings...))
	ended := make(chan error, 1)
	go func() {
		req := &stream.Request{Protocol: "Http1", Method: "GET", Scheme: "http", Authority: "example.com", Path: "/p", Query: "q", HasQuery: true}
		req.Header.Add("X-A", "b")
		err := take(t.Context(), c, h, req)
		_ = c.Close()
		ended <- err
	}()
	return newPeer(t, a), c, func() error { return <-ended }
}

func TestSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, wait := succeeded(t, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Protocol != Name || req.Body != nil {
				t.Errorf("%+v", req)
			}
			resp := &stream.Response{Status: 200, ContentLength: -1}
			resp.Header.Add("X-Got", req.Method+" "+req.Authority+" "+req.Path+"?"+req.Query+" "+req.Header.Get("x-a"))
			resp.Body = io.NopCloser(strings.NewReader("0123456789"))
			return resp, nil
		}), xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 4})
		// The answer comes after the preface, and no faster than the window of
		// the offer allows.
		f, err := p.fr.ReadFrame()
		p.ok(err)
		if s, ok := f.(*xhttp2.SettingsFrame); !ok || s.IsAck() {
			t.Fatalf("the first frame is %v", f)
		}
		time.Sleep(time.Second)
		p.must(io.WriteString(p.nc, preface))
		p.expect(`HEADERS 1 [:status=200 x-got=GET example.com /p?q b]`, `DATA 1 "0123"`)
		p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 8}))
		p.expect(`DATA 1 "4567"`)
		p.ok(p.fr.WriteWindowUpdate(1, 100))
		p.expect(`DATA 1 "89"...`)
		for next := ""; next != `DATA 1 "" END`; next = p.next() {
			if next != "" {
				t.Fatalf("got %s", next)
			}
		}
		// The next stream is the caller's, 1 is used up.
		p.headers(3, true, with(basic, "x-a: c")...)
		p.expect(`HEADERS 3 [:status=200 x-got=GET example.com /? c]`)
		_ = p.nc.Close()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		say  func(p *peer)
		want string
	}{
		"stream 1 again":    {func(p *peer) { p.headers(1, true, basic...) }, "RST 1 STREAM_CLOSED"},
		"data for stream 1": {func(p *peer) { p.data(1, true, "x") }, "RST 1 STREAM_CLOSED"},
		"stream 1 is reset": {func(p *peer) {
			p.ok(p.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel))
			p.ok(p.fr.WritePing(false, [8]byte{'x'}))
		}, "PONG x"},
		"no preface":         {nil, "GOAWAY 0 PROTOCOL_ERROR"},
		"more after the end": {func(p *peer) { p.headers(3, true, basic...) }, "HEADERS 3 [:status=404] END"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _, wait := succeeded(t, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					if req.Path == "/p" {
						<-ctx.Done()
					}
					return &stream.Response{Status: 404}, nil
				}))
				if c.say == nil {
					p.must(io.WriteString(p.nc, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
				} else {
					p.must(io.WriteString(p.nc, preface))
					p.ok(p.fr.WriteSettings())
					c.say(p)
				}
				if got := p.next(); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				_ = p.nc.Close()
				_ = wait()
			})
		})
	}
}

// FuzzSucceed: an offer is taken or not, and what is taken is obeyed.
func FuzzSucceed(f *testing.F) {
	f.Add("AAMAAABkAAQCAAAAAAIAAAAA")
	f.Add(offer(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 1 << 31}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0}))
	f.Fuzz(func(t *testing.T, value string) {
		take := newServer(t).Succeed("h2c", value)
		if take == nil {
			return
		}
		a, b := conn.Pipe()
		_, _ = io.WriteString(a, preface)
		_ = a.(interface{ CloseWrite() error }).CloseWrite()
		c := conn.New(b)
		req := &stream.Request{Method: "GET", Scheme: "http", Authority: "h", Path: "/"}
		if err := take(t.Context(), c, handlerFunc(plain), req); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		_ = c.Close()
		_ = a.Close()
	})
}
