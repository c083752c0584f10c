package http1

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// frame makes a WebSocket text frame (RFC 6455 section 5.2); a caller masks.
func frame(text string, masked bool) []byte {
	b := []byte{0x81, byte(len(text))}
	if len(text) > 125 {
		b = binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(text)))
	}
	if !masked {
		return append(b, text...)
	}
	mask := [4]byte{1, 2, 3, byte(len(text))}
	b[1] |= 0x80
	b = append(b, mask[:]...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i%4])
	}
	return b
}

// readFrame reads a frame and returns its text.
func readFrame(r io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return "", err
	}
	masked, n := head[1]&0x80 != 0, int(head[1]&0x7f)
	if n == 126 {
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return "", err
		}
		n = int(binary.BigEndian.Uint16(head[:2]))
	}
	var mask [4]byte
	if masked {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return "", err
		}
	}
	text := make([]byte, n)
	_, err := io.ReadFull(r, text)
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return string(text), err
}

// acceptKey is what a host proves that it speaks WebSocket with (RFC 6455
// section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as said
	return base64.StdEncoding.EncodeToString(sum[:])
}

// 10,000 frames go both ways at the same time through server and client, each
// answered in order.
func TestUpgradeFrames(t *testing.T) {
	const frames = 10_000
	text := func(i int) string { return fmt.Sprintf("%d%s", i, strings.Repeat("~", i%300)) }
	echoing := func(nc net.Conn) error {
		defer func() { _ = nc.Close() }()
		r := bufio.NewReader(nc)
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(nc)
		_, _ = fmt.Fprintf(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			acceptKey(req.Header.Get("Sec-WebSocket-Key")))
		_, _ = w.Write(frame("welcome", false)) // in one write with the head
		for {
			if r.Buffered() == 0 {
				if err := w.Flush(); err != nil {
					return err
				}
			}
			got, err := readFrame(r)
			if errors.Is(err, io.EOF) {
				return w.Flush()
			}
			if err != nil {
				return err
			}
			_, _ = w.Write(frame(got, false))
		}
	}
	run := func(t *testing.T, caller net.Conn) {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			w := bufio.NewWriter(caller)
			_, _ = w.WriteString("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
			for i := range frames {
				_, _ = w.Write(frame(text(i), true)) // the first ones before the answer
				if i%7 == 0 {
					_ = w.Flush()
				}
			}
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
			_ = caller.(interface{ CloseWrite() error }).CloseWrite()
		})
		r := bufio.NewReader(caller)
		if h := switched(t, r); h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatal(h)
		}
		for i := -1; i < frames; i++ {
			want := "welcome"
			if i >= 0 {
				want = text(i)
			}
			if got, err := readFrame(r); err != nil || got != want {
				t.Fatalf("frame %d: %.40q, %v", i, got, err)
			}
		}
		if _, err := readFrame(r); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
	t.Run("pipe", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var hosts sync.WaitGroup
			s := serve(t, &forward{dial: func() (net.Conn, error) {
				ours, theirs := conn.NewPipe("proxy", "host")
				hosts.Go(func() {
					if err := echoing(theirs); err != nil {
						t.Errorf("host: %v", err)
					}
				})
				return ours, nil
			}})
			run(t, s.PipeConn)
			hosts.Wait()
			if err := <-s.ended; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("TCP", func(t *testing.T) {
		host := accept(t, func(nc net.Conn) {
			if err := echoing(nc); err != nil {
				t.Errorf("host: %v", err)
			}
		})
		nc, err := net.Dial("tcp", listen(t, &forward{dial: func() (net.Conn, error) { return net.Dial("tcp", host) }}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
		run(t, nc)
	})
}

// switched reads the head of a 101 and returns its fields.
func switched(t testing.TB, r *bufio.Reader) http.Header {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 101 {
		t.Fatalf("answered %d", resp.StatusCode)
	}
	return resp.Header
}

// accept serves a TCP port until the test ends.
func accept(t testing.TB, serve func(nc net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

// 100 tunnels at once, between a WebSocket client and server of others.
func TestUpgradeManyWebSockets(t *testing.T) {
	host := accept(t, func(nc net.Conn) {
		srv := &http.Server{Handler: websocket.Handler(echoMessages)}
		l := &single{c: make(chan net.Conn, 1), addr: nc.LocalAddr()}
		l.c <- &noticed{Conn: nc, closed: func() { close(l.c) }}
		_ = srv.Serve(l)
	})
	address := listen(t, &forward{dial: func() (net.Conn, error) { return net.Dial("tcp", host) }})
	var wg sync.WaitGroup
	ready, begin := make(chan struct{}, 100), make(chan struct{})
	for i := range 100 {
		wg.Go(func() {
			ws, err := websocket.Dial("ws://"+address+"/echo", "", "http://here/")
			ready <- struct{}{}
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = ws.Close() }()
			_ = ws.SetDeadline(time.Now().Add(2 * time.Minute))
			<-begin
			for k := range 20 {
				sent := strings.Repeat(fmt.Sprintf("%d:%d;", i, k), 1+k*100)
				var got string
				if err := websocket.Message.Send(ws, sent); err != nil {
					t.Error(err)
					return
				}
				if err := websocket.Message.Receive(ws, &got); err != nil || got != sent {
					t.Errorf("got %.20q, %v, want %.20q", got, err, sent)
					return
				}
			}
		})
	}
	for range 100 {
		<-ready
	}
	close(begin)
	wg.Wait()
}

func echoMessages(ws *websocket.Conn) {
	for {
		var m string
		if websocket.Message.Receive(ws, &m) != nil || websocket.Message.Send(ws, m) != nil {
			return
		}
	}
}

// single is a listener with one connection.
type single struct {
	c    chan net.Conn
	addr net.Addr
}

func (l *single) Accept() (net.Conn, error) {
	if c, ok := <-l.c; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.addr }

// noticed is a connection that tells when it is closed.
type noticed struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (c *noticed) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}
