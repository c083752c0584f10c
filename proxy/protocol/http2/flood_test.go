package http2

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// waits is a handler that answers when its caller has gone.
func waits(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
	<-ctx.Done()
	return nil, stream.FromContext(ctx, "wait")
}

// A peer that makes work without doing any is sent away.
func TestServerFloods(t *testing.T) {
	for name, c := range map[string]struct {
		flood func(p *peer, i int) error
		want  string
	}{
		"rapid reset": {func(p *peer, i int) error {
			id := uint32(2*i + 1)
			if err := p.tryHeaders(id, true, basic...); err != nil {
				return err
			}
			return p.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel)
		}, "ENHANCE_YOUR_CALM"},
		"malformed requests": {func(p *peer, i int) error {
			return p.tryHeaders(uint32(2*i+1), true, with(basic, "X: y")...)
		}, "ENHANCE_YOUR_CALM"},
		"refused streams": {func(p *peer, i int) error {
			return p.tryHeaders(uint32(2*i+1), true, basic...)
		}, "ENHANCE_YOUR_CALM"},
		"ping":         {func(p *peer, _ int) error { return p.fr.WritePing(false, [8]byte{}) }, "ENHANCE_YOUR_CALM"},
		"pong":         {func(p *peer, _ int) error { return p.fr.WritePing(true, [8]byte{}) }, "ENHANCE_YOUR_CALM"},
		"settings":     {func(p *peer, _ int) error { return p.fr.WriteSettings() }, "ENHANCE_YOUR_CALM"},
		"settings ack": {func(p *peer, _ int) error { return p.fr.WriteSettingsAck() }, "ENHANCE_YOUR_CALM"},
		"priority": {func(p *peer, _ int) error {
			return p.fr.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3})
		}, "ENHANCE_YOUR_CALM"},
		"unknown": {func(p *peer, _ int) error { return p.fr.WriteRawFrame(0x77, 0, 1, nil) }, "ENHANCE_YOUR_CALM"},
		"window": {func(p *peer, i int) error {
			if i == 0 {
				p.headers(1, false, basicPost...)
			}
			return p.fr.WriteWindowUpdate(1, 1)
		}, "ENHANCE_YOUR_CALM"},
		"window of the connection": {func(p *peer, _ int) error { return p.fr.WriteWindowUpdate(0, 1) }, "ENHANCE_YOUR_CALM"},
		"empty data": {func(p *peer, i int) error {
			if i == 0 {
				p.headers(1, false, basicPost...)
			}
			return p.fr.WriteData(1, false, nil)
		}, "ENHANCE_YOUR_CALM"},
		"padding": {func(p *peer, i int) error {
			if i == 0 {
				p.headers(1, false, basicPost...)
			}
			return p.fr.WriteDataPadded(1, false, nil, make([]byte, 10))
		}, "ENHANCE_YOUR_CALM"},
		"goaway": {func(p *peer, _ int) error { return p.fr.WriteGoAway(0, xhttp2.ErrCodeNo, nil) }, "ENHANCE_YOUR_CALM"},
		"continuation, empty": {func(p *peer, i int) error {
			if i == 0 {
				return p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(basic...)})
			}
			return p.fr.WriteContinuation(1, false, nil)
		}, "ENHANCE_YOUR_CALM"},
		"continuation, large": {func(p *peer, i int) error {
			if i == 0 {
				return p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(basic...)})
			}
			return p.fr.WriteContinuation(1, false, p.block("x: "+strings.Repeat("y", 12000)))
		}, "ENHANCE_YOUR_CALM"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running, most atomic.Int64
				p, _, wait := caller(t, protocol.ServerOptions{}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					n := running.Add(1)
					defer running.Add(-1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					return waits(ctx, req)
				}))
				read := make(chan string)
				go func() {
					last := ""
					for {
						got := p.next()
						if got == "EOF" || strings.HasPrefix(got, "io:") {
							read <- last
							return
						}
						if !strings.HasPrefix(last, "GOAWAY") {
							last = got // it may overtake what else was to be said
						}
					}
				}()
				sent := 0
				for ; sent < 100000; sent++ {
					if c.flood(p, sent) != nil {
						break
					}
				}
				last := <-read
				if sent == 100000 || !strings.HasPrefix(last, "GOAWAY") || !strings.HasSuffix(last, c.want) {
					t.Errorf("after %d: %s", sent, last)
				}
				if err := wait(); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				if n := most.Load(); n > 2*250 {
					t.Errorf("%d requests at a time", n)
				}
			})
		})
	}
}

// Answers that nobody reads do not pile up.
func TestUnreadAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, wait := caller(t, protocol.ServerOptions{}, handlerFunc(waits))
		n := 0
		for ; n < 100000; n++ {
			if p.fr.WritePing(false, [8]byte{}) != nil {
				break
			}
			if n%190 == 0 {
				time.Sleep(time.Second) // within the budget
			}
		}
		if err := wait(); err == nil || !strings.Contains(err.Error(), "not read") {
			t.Error(n, err)
		}
	})
}

// What useful peers do at length is no flood.
func TestNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(echo))
		go func() {
			for {
				if p.next() == "EOF" {
					return
				}
			}
		}()
		for i := range 3000 {
			id := uint32(2*i + 1)
			p.headers(id, false, basicPost...)
			p.data(id, false, "abc")
			p.ok(p.fr.WriteWindowUpdate(0, 3))
			p.ok(p.fr.WriteWindowUpdate(id, 3))
			if i%3 == 0 {
				// A third is taken back.
				p.ok(p.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel))
			} else {
				p.data(id, true, "")
			}
			if i%100 == 0 {
				p.ok(p.fr.WritePing(false, [8]byte{}))
			}
			synctest.Wait()
		}
	})
}

func TestServerStreamLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, _, _ := caller(t, protocol.ServerOptions{Extend: map[string]any{"max_concurrent_streams": 3}}, handlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			<-release
			return answer(204, ""), nil
		}))
		for i := range 4 {
			p.headers(uint32(2*i+1), true, basic...)
		}
		p.expect("RST 7 REFUSED_STREAM")
		close(release)
		for range 3 {
			p.expect("HEADERS ...")
		}
		p.headers(9, true, basic...)
		p.expect("HEADERS 9 [:status=204] END")
	})
}

// A caller that does not read stalls the handler's body, and is given up
// after the connection's time limit.
func TestSlowReaderStallsWriter(t *testing.T) {
	for name, window := range map[string]uint32{"window": 100, "connection": 1 << 20, "socket": 1<<31 - 1 - 65535} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var produced atomic.Int64
				closed := make(chan struct{}, 1)
				a, b := conn.Pipe()
				serve(t, b, protocol.ServerOptions{}, handlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
					return &stream.Response{Status: 200, ContentLength: -1, Body: &endless{n: &produced, closed: closed}}, nil
				}))
				p := newPeer(t, a)
				p.must(io.WriteString(a, preface))
				size := window
				if name == "socket" {
					p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1<<31 - 1}))
					p.ok(p.fr.WriteWindowUpdate(0, window))
				} else {
					p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: window}))
				}
				p.headers(1, true, basic...)
				synctest.Wait()
				// What the windows allow, and what the connection, the output
				// and the buffer in between hold.
				most := int64(min(size, 65535)) + maxFrame
				if name == "socket" {
					most = 64<<10 + 3*largeOutput
				}
				first := produced.Load()
				if first == 0 || first > most {
					t.Errorf("%d bytes produced, expected at most %d", first, most)
				}
				time.Sleep(29 * time.Second)
				if now := produced.Load(); now != first {
					t.Errorf("%d bytes produced while nobody read", now-first)
				}
				time.Sleep(2 * time.Second)
				select {
				case <-closed:
				default:
					t.Error("the stalled exchange goes on")
				}
			})
		})
	}
}

type endless struct {
	n      *atomic.Int64
	closed chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	e.n.Add(int64(len(p)))
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed <- struct{}{}
	return nil
}

// A handler that does not read stalls the caller: no window is given back.
func TestUnreadBodyHoldsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan int)
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			for n := range read {
				if _, err := io.CopyN(io.Discard, req.Body, int64(n)); err != nil {
					return nil, err
				}
			}
			return answer(204, ""), nil
		}))
		var stream1, whole atomic.Int64
		go func() {
			for {
				f, err := p.fr.ReadFrame()
				if err != nil {
					return
				}
				if w, ok := f.(*xhttp2.WindowUpdateFrame); ok {
					if w.StreamID == 0 {
						whole.Add(int64(w.Increment))
					} else {
						stream1.Add(int64(w.Increment))
					}
				}
			}
		}()
		p.headers(1, false, basicPost...)
		piece := strings.Repeat("x", maxFrame)
		for range 16 {
			p.data(1, false, piece)
		}
		synctest.Wait()
		if stream1.Load() != 0 {
			t.Error("window given back for bytes that nobody has read")
		}
		read <- 200 << 10
		synctest.Wait()
		if n := stream1.Load(); n < 100<<10 || n > 200<<10 {
			t.Errorf("%d bytes of window given back after 200 KiB were read", n)
		}
		if n := whole.Load(); n > 1<<20-65535 {
			// Up to its full size at the beginning, and no portion since.
			t.Errorf("%d bytes of the connection's window given back", n)
		}
		close(read)
	})
}

// Data beyond a window ends the stream, or the connection.
func TestWindowViolations(t *testing.T) {
	piece := strings.Repeat("x", maxFrame)
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(waits))
		p.headers(1, false, basicPost...)
		for range 16 {
			p.data(1, false, piece)
		}
		p.data(1, false, "x")
		p.expect("RST 1 FLOW_CONTROL_ERROR")
	})
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(waits))
		for i := range 5 {
			p.headers(uint32(2*i+1), false, basicPost...)
		}
		go func() {
			for i := range 5 * 16 {
				if p.fr.WriteData(uint32(i%5*2+1), false, []byte(piece)) != nil {
					return
				}
			}
		}()
		// Streams that end with the connection may still be answered before it.
		got := p.next()
		for strings.HasPrefix(got, "HEADERS ") || strings.HasPrefix(got, "DATA ") || strings.HasPrefix(got, "RST ") {
			got = p.next()
		}
		if got != "GOAWAY 9 FLOW_CONTROL_ERROR" {
			t.Errorf("got %s", got)
		}
	})
}

// Streams share the connection frame by frame.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{}, 10)
		var n atomic.Int64
		p, _, _ := caller(t, protocol.ServerOptions{}, handlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
			return &stream.Response{Status: 200, ContentLength: -1, Body: &endless{&n, closed}}, nil
		}))
		p.ok(p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1<<31 - 1}))
		p.ok(p.fr.WriteWindowUpdate(0, 1<<30))
		const streams = 5
		for i := range streams {
			p.headers(uint32(2*i+1), true, basic...)
		}
		count := make(map[uint32]int)
		for total := 0; total < 64<<20; {
			f, err := p.fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*xhttp2.DataFrame); ok {
				count[d.StreamID] += len(d.Data())
				total += len(d.Data())
			}
		}
		for i := range streams {
			if share := count[uint32(2*i+1)]; share < 64<<20/streams/2 {
				t.Errorf("stream %d had %d bytes of 64 MiB", 2*i+1, share)
			}
		}
	})
}
