package proxy_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// h2cOffer is a request that offers HTTP/2, as curl sends it.
const h2cOffer = "GET /first HTTP/1.1\r\nHost: pay\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"

// A caller changes from HTTP/1 to HTTP/2 where that is spoken, and nowhere else.
func TestChangeToHTTP2(t *testing.T) {
	for _, c := range []struct {
		protocols string
		want      int
		fallback  bool
	}{
		{"Auto", 101, false}, {"Http1,Http2", 101, false}, {"Http2,Http1", 101, false}, {"Http2", 101, false}, {"Http2", 101, true}, {"Auto", 101, true}, {"Http1", 200, false},
	} {
		t.Run(c.protocols, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{}
				n.HTTP(t, "h:1", Echo("h"))
				l := Listener("in", "main")
				l.FilterChains[0].Filters[0].Config["downstream_protocol"] = c.protocols
				if c.fallback {
					l.FilterChains[0].Filters[0].Config["fallback_for_unknown_protocol"] = true
					l.FilterChains[0].Filters = append(l.FilterChains[0].Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "c"}})
				}
				to := To("/", "c")
				to.Route.UpstreamProtocol = "Http1"
				s := Start(t, n, &config.Snapshot{
					Listeners: []config.Listener{l},
					Routers:   []config.Router{Router("main", to)},
					Clusters:  []config.Cluster{Cluster("c", "h:1")},
				})
				nc := s.Dial(t, "in")
				must(t, nc.SetDeadline(time.Now().Add(time.Minute)))
				say(t, nc, h2cOffer)
				r := bufio.NewReader(nc)
				if c.want != 101 {
					expectAnswer(t, r, c.want, "h: GET /first")
					return
				}
				expect(t, r, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
				say(t, nc, xhttp2.ClientPreface)
				fr := xhttp2.NewFramer(nc, r)
				fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
				must(t, fr.WriteSettings())
				want := func(id uint32, body string) {
					t.Helper()
					var got strings.Builder
					for {
						f, err := fr.ReadFrame()
						must(t, err)
						switch f := f.(type) {
						case *xhttp2.MetaHeadersFrame:
							if f.StreamID != id || f.PseudoValue("status") != "200" {
								t.Fatalf("%v", f)
							}
						case *xhttp2.DataFrame:
							got.Write(f.Data())
							if f.StreamEnded() {
								if f.StreamID != id || got.String() != body {
									t.Fatalf("stream %d: %q, want %d: %q", f.StreamID, got.String(), id, body)
								}
								return
							}
						case *xhttp2.RSTStreamFrame, *xhttp2.GoAwayFrame:
							t.Fatalf("%v", f)
						}
					}
				}
				want(1, "h: GET /first ")
				s.Records.Wait(t, 1) // a caller has its answer a moment before there is a record of it
				// \x82 GET, \x86 http, \x84 /, and the host.
				must(t, fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte("\x82\x86\x84\x01\x03pay"), EndStream: true, EndHeaders: true}))
				want(3, "h: GET / ")
				records := s.Records.Wait(t, 2)
				for i, path := range []string{"/first", "/"} {
					if rec := records[i]; rec.Protocol != "Http2" || rec.Path != path || rec.Status != 200 || rec.Listener != "in" {
						t.Errorf("record %+v", rec)
					}
				}
			})
		})
	}
}

// Where HTTP/2 alone is spoken, HTTP/1 is good for nothing but the change, and
// who begins with HTTP/2 notices nothing.
func TestHTTP2Alone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listener("in", "main")
		l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Http2"
		s := Start(t, &Network{}, &config.Snapshot{Listeners: []config.Listener{l}, Routers: []config.Router{Router("main", Answer("/", 200, "ok"))}})
		for i, raw := range []string{
			"GET / HTTP/1.1\r\nHost: pay\r\n\r\n",
			strings.Replace(h2cOffer, "AAM", "***", 1),
			strings.Replace(h2cOffer, "Host: pay", "Host: pay\r\nContent-Length: 5", 1) + "hello",
		} {
			nc := s.Dial(t, "in")
			say(t, nc, raw)
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			must(t, err)
			_ = resp.Body.Close()
			if resp.StatusCode != 505 {
				t.Errorf("%q: %d", raw, resp.StatusCode)
			}
			if rec := s.Records.Last(t, i+1); rec.Status != 505 || rec.Err == nil || !strings.Contains(rec.Err.Error(), "Http2 is spoken here, not Http1") {
				t.Errorf("record %+v", rec)
			}
			_ = nc.Close()
		}
		for _, raw := range []string{"\x00\x00\x00\x04\x00", "PRI * HTTP/1.1\r\n\r\n"} { // no HTTP at all
			nc := s.Dial(t, "in")
			say(t, nc, raw+strings.Repeat("\x00", 300))
			b, _ := io.ReadAll(nc)
			if !strings.Contains(string(b), "preface") {
				t.Errorf("%q: %q", raw, b)
			}
			_ = nc.Close()
		}
		s.Records.Wait(t, 5)
	})
}
