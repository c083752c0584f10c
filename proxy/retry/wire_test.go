package retry_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/retry"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// wire is a host at the end of real connections, behind a pool, which plays its
// part connection by connection: the last for all further ones.
type wire struct {
	t      *testing.T
	pool   upstream.Sender
	mu     sync.Mutex
	dialed int
	wg     sync.WaitGroup
}

func newWire(t *testing.T, p protocol.Protocol, parts ...func(net.Conn)) *wire {
	w := &wire{t: t}
	w.pool = upstream.New(upstream.PoolOptions{
		Name: "host", Protocol: p, ConnectTimeout: time.Second, WriteTimeout: time.Minute,
		Dial: func(context.Context) (net.Conn, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			near, far := conn.NewPipe("proxy", "host")
			part := parts[min(w.dialed, len(parts)-1)]
			w.dialed++
			w.wg.Go(func() {
				defer func() { _ = far.Close() }()
				part(far)
			})
			return near, nil
		},
	})
	return w
}

func (w *wire) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed
}

// close ends the pool; no exchange may be left.
func (w *wire) close() {
	w.pool.Drain()
	synctest.Wait()
	if open, idle := w.pool.Stats(); open != 0 || idle != 0 {
		w.t.Errorf("%d connections are open at the end, %d idle", open, idle)
	}
	w.pool.Close()
	w.wg.Wait()
}

// h1 reads a request's head and the first n bytes of its body.
func h1(t *testing.T, c net.Conn, n int) (*bufio.Reader, *http.Request) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		t.Errorf("host: %v", err)
		return r, nil
	}
	if _, err := io.CopyN(io.Discard, req.Body, int64(n)); err != nil {
		t.Errorf("host: %v", err)
	}
	return r, req
}

const unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"

// echo answers requests of HTTP/1.1 with their bodies and trailers.
func echo(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nSum: %s\r\nContent-Length: %d\r\n\r\n%s", req.Trailer.Get("Sum"), len(body), body)
	}
}

// http1Parts are the ways in which a host may fail in the middle of a body of
// which it has "one ".
func http1Parts(t *testing.T) map[string]func(net.Conn) {
	return map[string]func(net.Conn){
		"answers and closes": func(c net.Conn) {
			h1(t, c, 4)
			_, _ = io.WriteString(c, unavailable)
		},
		"answers and reads on": func(c net.Conn) {
			r, _ := h1(t, c, 4)
			_, _ = io.WriteString(c, unavailable)
			_, _ = io.Copy(io.Discard, r)
		},
		"answers in two pieces": func(c net.Conn) {
			h1(t, c, 4)
			_, _ = io.WriteString(c, unavailable[:len(unavailable)-2])
			_, _ = io.Copy(io.Discard, c)
		},
		"closes": func(c net.Conn) { h1(t, c, 4) },
		"says nothing": func(c net.Conn) {
			r, _ := h1(t, c, 4)
			_, _ = io.Copy(io.Discard, r)
		},
	}
}

// h2 plays a host of HTTP/2: the first request is given to handle once n bytes
// of its body have come, further ones are answered with their bodies and trailers.
func h2(t *testing.T, n int, handle func(fr *xhttp2.Framer, id uint32)) func(net.Conn) {
	return func(c net.Conn) {
		preface := make([]byte, len(xhttp2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			t.Errorf("host: %v", err)
			return
		}
		fr := xhttp2.NewFramer(c, c)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = fr.WriteSettings()
		bodies, handled := map[uint32]string{}, false
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			id, sum, end := f.Header().StreamID, "", false
			switch f := f.(type) {
			case *xhttp2.SettingsFrame:
				if !f.IsAck() {
					_ = fr.WriteSettingsAck()
				}
				continue
			case *xhttp2.MetaHeadersFrame:
				for _, field := range f.RegularFields() {
					if field.Name == "sum" {
						sum = field.Value
					}
				}
				end = f.StreamEnded()
			case *xhttp2.DataFrame:
				bodies[id] += string(f.Data())
				end = f.StreamEnded()
			default:
				continue
			}
			switch {
			case id == 1 && len(bodies[id]) >= n && !handled:
				handled = true
				handle(fr, id)
			case end:
				h2head(fr, id, false, ":status", "200", "sum", sum)
				_ = fr.WriteData(id, true, []byte(bodies[id]))
			}
		}
	}
}

// fields encodes a header block.
func fields(lines ...string) []byte {
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	for i := 0; i < len(lines); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: lines[i], Value: lines[i+1]})
	}
	return buf.Bytes()
}

func h2head(fr *xhttp2.Framer, id uint32, end bool, lines ...string) {
	_ = fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: fields(lines...), EndStream: end, EndHeaders: true})
}

func http2Parts(t *testing.T) map[string]func(net.Conn) {
	reset := func(code xhttp2.ErrCode) func(net.Conn) {
		return h2(t, 4, func(fr *xhttp2.Framer, id uint32) { _ = fr.WriteRSTStream(id, code) })
	}
	return map[string]func(net.Conn){
		"answers":    h2(t, 4, func(fr *xhttp2.Framer, id uint32) { h2head(fr, id, true, ":status", "503") }),
		"begins":     h2(t, 4, func(fr *xhttp2.Framer, id uint32) { h2head(fr, id, false, ":status", "503") }),
		"grpc":       h2(t, 4, func(fr *xhttp2.Framer, id uint32) { h2head(fr, id, true, ":status", "200", "grpc-status", "14") }),
		"refuses":    reset(xhttp2.ErrCodeRefusedStream),
		"resets":     reset(xhttp2.ErrCodeInternal),
		"goes away":  h2(t, 4, func(fr *xhttp2.Framer, _ uint32) { _ = fr.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }),
		"no answer":  h2(t, 4, func(*xhttp2.Framer, uint32) {}),
		"not begun":  h2(t, 0, func(fr *xhttp2.Framer, id uint32) { _ = fr.WriteRSTStream(id, xhttp2.ErrCodeRefusedStream) }),
		"not wanted": h2(t, 0, func(fr *xhttp2.Framer, id uint32) { h2head(fr, id, true, ":status", "503") }),
	}
}

// front serves a protocol's callers with h, and returns a pool to it.
func front(t *testing.T, p protocol.Protocol, h stream.Handler) (upstream.Sender, func()) {
	srv, err := p.NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	pool := upstream.New(upstream.PoolOptions{
		Name: "front", Protocol: p, ConnectTimeout: time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			near, far := conn.NewPipe("caller", "front")
			wg.Go(func() {
				c := conn.New(far)
				_ = srv.ServeConn(ctx, c, h)
				_ = c.Close()
				c.Free()
			})
			return near, nil
		},
	})
	return pool, func() {
		pool.Close()
		cancel()
		wg.Wait()
	}
}

// A body that a caller is still sending over a real connection is sent again
// over another, whatever the first host does and whoever speaks what.
func TestG14BodyOnTheWire(t *testing.T) {
	hosts := []struct {
		name  string
		p     protocol.Protocol
		parts map[string]func(net.Conn)
		good  func(net.Conn)
	}{
		{"http1", http1.Protocol{}, http1Parts(t), echo},
		{"http2", http2.Protocol{}, http2Parts(t), h2(t, 1<<30, nil)},
	}
	for _, caller := range []protocol.Protocol{http1.Protocol{}, http2.Protocol{}} {
		for _, host := range hosts {
			for name, part := range host.parts {
				t.Run(fmt.Sprintf("%s to %s, %s", caller.Name(), host.name, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWire(t, host.p, part, host.good)
						policy := always
						policy.GRPC, policy.On = []int{14}, policy.On|stream.RetryGRPC
						h := retry.New(w.pool, nil)
						var noted stream.Info
						pool, stop := front(t, caller, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
							req.Policy = &stream.Policy{Retry: &policy}
							req.TryTimeout, req.Deadline = time.Minute, time.Now().Add(time.Hour)
							resp, err := h.Handle(ctx, req)
							noted = req.Info
							return resp, err
						}))
						req := &stream.Request{Method: "POST", Scheme: "http", Path: "/", Authority: "example.com"}
						in := newSent(t, req)
						req.Header.Add("trailer", "sum")
						in.write("one ")
						go func() {
							time.Sleep(90 * time.Second) // the second attempt is under way
							in.write("two ")
							time.Sleep(time.Second)
							in.write("three")
							in.end(io.EOF)
						}()
						resp, err := pool.Handle(t.Context(), req)
						if err != nil {
							t.Fatal(err)
						}
						data, err := io.ReadAll(resp.Body)
						if err != nil || resp.Status != 200 || string(data) != "one two three" || resp.Header.Get("sum") != "13" {
							t.Errorf("status %d, %q, sum %q, %v", resp.Status, data, resp.Header.Get("sum"), err)
						}
						_ = resp.Close()
						if noted.BytesIn != 13 {
							t.Errorf("%d bytes were counted", noted.BytesIn)
						}
						stop()
						w.close()
					})
				})
			}
		}
	}
}

// An answer that is all there leaves the connection to the next attempt.
func TestG14ConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, http1.Protocol{}, func(c net.Conn) {
			r := bufio.NewReader(c)
			for range 3 {
				req, err := http.ReadRequest(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(c, unavailable)
			}
		})
		req := request("POST", stream.Retry{Max: 2, On: stream.RetryStatus})
		req.Authority, req.ContentLength = "example.com", 4
		req.Body = text{Reader: strings.NewReader("body")}
		resp, err := retry.New(w.pool, nil).Handle(t.Context(), req)
		if err != nil || resp.Status != 503 || ends(t, resp) != "busy" || w.dials() != 1 {
			t.Errorf("%v, %d connections", err, w.dials())
		}
		w.close()
	})
}

// What the clients and pools say of requests with a body that failed: nothing
// is repeated that a host may have acted on.
func TestG14SafetyOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		on           stream.RetryOn
		part         func(t *testing.T) func(net.Conn)
		again        bool
	}{
		{"POST, closed", "POST", stream.RetryReset, func(t *testing.T) func(net.Conn) { return http1Parts(t)["closes"] }, false},
		{"PUT, closed", "PUT", stream.RetryReset, func(t *testing.T) func(net.Conn) { return http1Parts(t)["closes"] }, true},
		{"POST, closed, any", "POST", stream.RetryResetAny, func(t *testing.T) func(net.Conn) { return http1Parts(t)["closes"] }, true},
		{"PUT, half an answer", "PUT", stream.RetryReset, func(t *testing.T) func(net.Conn) {
			return func(c net.Conn) {
				h1(t, c, 4)
				_, _ = io.WriteString(c, "HTTP/1.1 503 Serv")
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, http1.Protocol{}, tt.part(t), echo)
				req := request(tt.method, stream.Retry{Max: 2, On: tt.on})
				req.Authority, req.ContentLength = "example.com", 4
				req.Body = text{Reader: strings.NewReader("body")}
				resp, err := retry.New(w.pool, nil).Handle(t.Context(), req)
				if (err == nil) != tt.again || (w.dials() == 2) != tt.again {
					t.Errorf("%v, %d connections", err, w.dials())
				}
				if err == nil {
					if got := ends(t, resp); got != "body" {
						t.Errorf("%q", got)
					}
				}
				w.close()
			})
		})
	}

	// A connection that is refused leaves the body untouched, however long.
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		pool := upstream.New(upstream.PoolOptions{
			Name: "host", Protocol: http1.Protocol{}, ConnectTimeout: time.Second,
			Dial: func(context.Context) (net.Conn, error) {
				if dials++; dials < 3 {
					return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("refused")}
				}
				near, far := conn.NewPipe("proxy", "host")
				go echo(far)
				return near, nil
			},
		})
		defer pool.Close()
		long := strings.Repeat("0123456789", 100_000)
		req := request("POST", stream.Retry{Max: 2, On: stream.RetryConnect})
		req.Authority, req.ContentLength = "example.com", int64(len(long))
		req.Body = text{Reader: strings.NewReader(long)}
		resp, err := retry.New(pool, nil).Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got := ends(t, resp); got != long {
			t.Errorf("%d bytes came back", len(got))
		}
	})
}
