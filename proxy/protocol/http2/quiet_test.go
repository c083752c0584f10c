package http2

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// A connection that was quiet has forgotten the table of its header blocks, and
// says so in the next, as RFC 7541 section 4.2 has it; also the new size, if the
// peer changed it meanwhile. An open stream keeps it.
func TestQuietTable(t *testing.T) {
	for name, c := range map[string]struct {
		settings []xhttp2.Setting
		open     bool
		want     []byte
	}{
		"quiet":         {want: []byte{0x20, 0x3f, 0xe1, 0x1f}},
		"new size":      {settings: []xhttp2.Setting{{ID: xhttp2.SettingHeaderTableSize, Val: 2000}}, want: []byte{0x20, 0x3f, 0xb1, 0x0f}},
		"a stream open": {open: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					resp := &stream.Response{Status: 200}
					resp.Header.Add("x-long-name-of-a-field", "and a value")
					if req.Path == "/wait" {
						_, _ = req.Body.Read(make([]byte, 1))
					}
					return resp, nil
				}))
				// block returns the header block of the next answer.
				block := func() []byte {
					for {
						f, err := p.fr.ReadFrame()
						p.ok(err)
						if h, ok := f.(*xhttp2.HeadersFrame); ok {
							b := bytes.Clone(h.HeaderBlockFragment())
							if got := p.decode(h); got != "[:status=200 x-long-name-of-a-field=and a value]" {
								t.Errorf("got %s", got)
							}
							return b
						}
					}
				}
				p.headers(1, true, basic...)
				first := block()
				if c.open {
					p.headers(3, false, ":method: POST", ":scheme: http", ":path: /wait", ":authority: a")
				}
				time.Sleep(time.Minute)
				if len(c.settings) > 0 {
					p.ok(p.fr.WriteSettings(c.settings...))
					time.Sleep(time.Minute)
				}
				p.headers(5, true, basic...)
				after := block()
				p.headers(7, true, basic...)
				again := block()
				if c.open {
					if len(after) >= len(first) {
						t.Errorf("the answer after a while is as long as the first: %x", after)
					}
					return
				}
				if !bytes.HasPrefix(after, c.want) || len(after) < len(first) {
					t.Errorf("the answer after a while is %x, want one that begins with %x", after, c.want)
				}
				if again[0] == 0x20 || len(again) >= len(first) {
					t.Errorf("and the next is %x", again)
				}
			})
		})
	}
}

// Connections share workers, which end when they have had nothing to do for a
// while, and in any case with the last connection.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, err := Protocol{}.NewServer(protocol.ServerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		h := handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Path == "/wait" {
				<-release
			}
			return &stream.Response{Status: 200}, nil
		})
		var clients []*client
		var serving, asking sync.WaitGroup
		for range 10 {
			a, b := conn.Pipe()
			serving.Go(func() { _ = made.ServeConn(t.Context(), conn.New(b), h) })
			clients = append(clients, dial(t, a))
		}
		check := func(least, most int, when string) {
			t.Helper()
			synctest.Wait()
			buf := make([]byte, 1<<20)
			if n := bytes.Count(buf[:runtime.Stack(buf, true)], []byte(").work(")); n < least || n > most {
				t.Errorf("%s: %d workers, want %d to %d", when, n, least, most)
			}
		}
		for _, cl := range clients {
			fetch(t, cl, get("/"))
			check(1, 1, "one request after another")
		}
		for _, cl := range clients {
			asking.Go(func() { fetch(t, cl, get("/wait")) })
		}
		check(10, 10, "ten at a time")
		close(release)
		asking.Wait()
		check(10, 10, "just after that")
		for range 20 {
			time.Sleep(250 * time.Millisecond)
			fetch(t, clients[0], get("/"))
		}
		check(1, 1, "one request now and then")
		time.Sleep(3 * time.Second)
		check(0, 0, "no request")
		for _, cl := range clients {
			fetch(t, cl, get("/"))
			check(1, 1, "before the end of a connection")
			_ = cl.Close()
		}
		serving.Wait()
		check(0, 0, "no connection")
	})
}
