package http2

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// script collects frames.
func script(f func(fr *xhttp2.Framer, block func(lines ...string) []byte)) []byte {
	var out, buf bytes.Buffer
	fr := xhttp2.NewFramer(&out, nil)
	fr.AllowIllegalWrites = true
	enc := hpack.NewEncoder(&buf)
	f(fr, func(lines ...string) []byte {
		buf.Reset()
		for _, l := range lines {
			i := strings.Index(l[1:], ": ") + 1
			_ = enc.WriteField(hpack.HeaderField{Name: l[:i], Value: l[i+2:]})
		}
		return bytes.Clone(buf.Bytes())
	})
	return out.Bytes()
}

// seeds are frames that either end may get, with the given head.
func seeds(f *testing.F, head ...string) {
	whole := func(id uint32, end bool, b []byte) xhttp2.HeadersFrameParam {
		return xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndStream: end, EndHeaders: true}
	}
	for _, s := range [][]byte{
		script(func(fr *xhttp2.Framer, block func(...string) []byte) {
			_ = fr.WriteHeaders(whole(1, true, block(head...)))
			_ = fr.WriteHeaders(whole(3, false, block(with(head, "content-length: 3")...)))
			_ = fr.WriteData(3, false, []byte("ab"))
			_ = fr.WriteDataPadded(3, true, []byte("c"), make([]byte, 7))
		}),
		script(func(fr *xhttp2.Framer, block func(...string) []byte) {
			b := block(with(head, "x: y", "cookie: a")...)
			_ = fr.WriteHeaders(xhttp2.HeadersFrameParam{
				StreamID: 1, BlockFragment: b[:3], PadLength: 9,
				Priority: xhttp2.PriorityParam{StreamDep: 5, Weight: 3},
			})
			_ = fr.WriteContinuation(1, false, b[3:5])
			_ = fr.WriteContinuation(1, true, b[5:])
			_ = fr.WriteData(1, false, []byte("abc"))
			_ = fr.WriteHeaders(whole(1, true, block("t: 1")))
		}),
		script(func(fr *xhttp2.Framer, block func(...string) []byte) {
			_ = fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1}, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0},
				xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1}, xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 1 << 20})
			_ = fr.WriteHeaders(whole(1, false, block(head...)))
			_ = fr.WriteWindowUpdate(1, 1<<31-1)
			_ = fr.WriteWindowUpdate(0, 1<<31-1)
			_ = fr.WriteRSTStream(1, xhttp2.ErrCodeCancel)
			_ = fr.WriteHeaders(whole(1, true, block(head...)))
		}),
		script(func(fr *xhttp2.Framer, block func(...string) []byte) {
			_ = fr.WritePing(false, [8]byte{1})
			_ = fr.WritePing(true, drainPing)
			_ = fr.WriteGoAway(1, xhttp2.ErrCodeInternal, []byte("bye"))
			_ = fr.WritePriority(3, xhttp2.PriorityParam{StreamDep: 3})
			_ = fr.WriteRawFrame(0x42, 0xff, 7, []byte("what"))
			_ = fr.WriteHeaders(whole(5, true, block(head...)))
			_ = fr.WriteRawFrame(xhttp2.FramePushPromise, 4, 1, make([]byte, 9))
		}),
	} {
		f.Add(s)
	}
}

// within fails the test when f takes long.
func within(t *testing.T, f func()) {
	timer := time.AfterFunc(2*time.Minute, func() { panic("a connection does not end") })
	defer timer.Stop()
	f()
}

// Whatever a caller sends, the server neither panics nor hangs, and has not
// more requests at work than it allows.
func FuzzServer(f *testing.F) {
	seeds(f, basicPost...)
	f.Fuzz(func(t *testing.T, frames []byte) {
		within(t, func() {
			a, b := conn.Pipe()
			srv, err := Protocol{}.NewServer(protocol.ServerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c := conn.New(b)
				c.Timeout = time.Second
				_ = srv.ServeConn(context.Background(), c, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					if checkRequest(req) != nil || req.Scheme != "http" && req.Scheme != "https" {
						panic("a request that could not be sent on")
					}
					return echo(ctx, req)
				}))
				_ = c.Close()
			}()
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, a)
			}()
			_, _ = io.WriteString(a, preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			_, _ = a.Write(frames)
			_ = a.(*conn.PipeConn).CloseWrite()
			<-done
			<-drained
			_ = a.Close()
		})
	})
}

// Whatever a host sends, the client neither panics nor hangs.
func FuzzClient(f *testing.F) {
	seeds(f, ":status: 200")
	f.Fuzz(func(t *testing.T, frames []byte) {
		within(t, func() {
			a, b := conn.Pipe()
			released := make(chan struct{}, 10)
			cl := Protocol{}.NewClient(conn.New(a), protocol.ClientOptions{Released: func() { released <- struct{}{} }}).(*client)
			go func() { _, _ = io.Copy(io.Discard, b) }()
			var got []<-chan result
			for range 3 {
				got = append(got, send(context.Background(), cl, post("/", 3, strings.NewReader("abc"))))
			}
			_, _ = io.WriteString(b, "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			_, _ = b.Write(frames)
			_ = b.Close()
			for _, ch := range got {
				r := <-ch
				if r.err == nil {
					if r.resp.Status < 200 || checkFields(&r.resp.Header) != nil {
						t.Error("an answer that could not be sent on")
					}
					_, _ = io.Copy(io.Discard, r.resp.Body)
					_ = r.resp.Close()
				}
				<-released
			}
			_ = cl.Close()
		})
	})
}

func FuzzGRPCTimeout(f *testing.F) {
	for _, s := range []string{"1S", "99999999H", "0n", "", "S", "1x", "-1S", "123456789S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := grpcTimeout(s); d < 0 {
			t.Error(d)
		}
	})
}
