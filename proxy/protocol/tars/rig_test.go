package tars_test

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vectors returns the frames of testdata/vectors.txt by name.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = unhex(t, digits)
	}
	return all
}

// unhex reads hexadecimal digits, with any space between them.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatalf("%q: %v", digits, err)
	}
	return b
}

// packet returns a frame of these fields, which stand in hexadecimal digits.
func packet(t testing.TB, fields ...string) []byte {
	t.Helper()
	b := append(make([]byte, 4), unhex(t, strings.Join(fields, ""))...)
	b[2], b[3] = byte(len(b)>>8), byte(len(b))
	return b
}

// str returns a string field in hexadecimal digits.
func str(tag byte, s string) string {
	return hex.EncodeToString(append([]byte{tag<<4 | 6, byte(len(s))}, s...))
}

// parse reads a whole frame with its fields.
func parse(t testing.TB, f []byte) *frame.Message {
	t.Helper()
	m, err := frame.Parse(tars.Codec{}, f)
	if err != nil {
		t.Fatalf("%x: %v", f, err)
	}
	return m
}

// withID returns f with another id.
func withID(t testing.TB, f []byte, id uint64) []byte {
	t.Helper()
	m := &frame.Message{Frame: f}
	if err := (tars.Codec{}).Decode(m); err != nil {
		t.Fatalf("%x: %v", f, err)
	}
	return append((tars.Codec{}).AppendID(nil, m, id), f[m.Start:]...)
}

// text returns the fields but that of the status.
func text(h *stream.Header) string {
	var list []string
	for name, value := range h.All() {
		if name != frame.StatusField {
			list = append(list, name+"="+value)
		}
	}
	return strings.Join(list, " ")
}

// peer is an end of a connection that the test plays. What it waits for has to
// come within a minute, which is fake.
type peer struct {
	t testing.TB
	net.Conn
	buf []byte
}

func (p *peer) send(f []byte) {
	p.t.Helper()
	if _, err := p.Write(f); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame, nil if none comes.
func (p *peer) read() []byte {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		n, err := tars.Codec{}.Size(p.buf)
		if err != nil {
			p.t.Fatal(err)
		}
		if n > 0 && n <= len(p.buf) {
			f := p.buf[:n:n]
			p.buf = p.buf[n:]
			return f
		}
		b := make([]byte, 4096)
		if n, err = p.Read(b); err != nil {
			return nil
		}
		p.buf = append(p.buf, b[:n]...)
	}
}

// host makes a client whose host the test plays.
func host(t testing.TB, opts frame.Options) (protocol.Client, *peer) {
	near, far := conn.NewPipe("client", "host")
	cl := tars.New(opts).NewClient(conn.New(near), protocol.ClientOptions{})
	t.Cleanup(func() {
		_ = cl.Close()
		_ = far.Close()
	})
	return cl, &peer{t: t, Conn: far}
}

// caller has h answer a caller that the test plays.
func caller(t testing.TB, h stream.HandlerFunc, extend map[string]any) (*peer, *conn.Conn) {
	srv, err := tars.New(frame.Options{}).NewServer(protocol.ServerOptions{Extend: extend})
	if err != nil {
		t.Fatal(err)
	}
	near, far := conn.NewPipe("caller", "server")
	c := conn.New(far)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = srv.ServeConn(context.Background(), c, h)
		_ = c.Close()
		c.Free()
	})
	t.Cleanup(func() {
		_ = near.Close()
		wg.Wait()
	})
	return &peer{t: t, Conn: near}, c
}

// echo answers with the request's payload.
func echo(_ context.Context, req *stream.Request) (*stream.Response, error) {
	b := ""
	if req.Body != nil {
		all, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		b = string(all)
	}
	return &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(b)), ContentLength: int64(len(b))}, nil
}
