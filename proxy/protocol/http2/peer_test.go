package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// peer is the other end of a connection, played by a test frame by frame.
type peer struct {
	t   testing.TB
	nc  net.Conn
	fr  *xhttp2.Framer
	enc *hpack.Encoder
	buf bytes.Buffer
	dec *hpack.Decoder
	// got is what was decoded of the last header block; secret the names of
	// its fields that must not be indexed.
	got    []hpack.HeaderField
	secret []string
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	p := &peer{t: t, nc: nc, fr: xhttp2.NewFramer(nc, nc)}
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.buf)
	p.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		p.got = append(p.got, f)
		if f.Sensitive {
			p.secret = append(p.secret, f.Name)
		}
	})
	t.Cleanup(func() { _ = nc.Close() })
	return p
}

// caller is a client, played by the test, of a server that h is behind.
func caller(t testing.TB, opts protocol.ServerOptions, h stream.Handler) (p *peer, c *conn.Conn, wait func() error) {
	a, b := conn.Pipe()
	c, wait = serve(t, b, opts, h)
	p = newPeer(t, a)
	p.must(io.WriteString(a, preface))
	p.ok(p.fr.WriteSettings())
	return p, c, wait
}

// host is a server, played by the test, of our client.
func host(t testing.TB, settings ...xhttp2.Setting) (*peer, *client) {
	a, b := conn.Pipe()
	cl := dial(t, a)
	p := newPeer(t, b)
	buf := make([]byte, len(preface))
	p.must(io.ReadFull(b, buf))
	p.ok(p.fr.WriteSettings(settings...))
	return p, cl
}

func (p *peer) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) must(_ int, err error) {
	p.t.Helper()
	p.ok(err)
}

// block encodes "name: value" lines; a line that begins with "!" must not be indexed.
func (p *peer) block(lines ...string) []byte {
	p.buf.Reset()
	for _, l := range lines {
		l, never := strings.CutPrefix(l, "!")
		i := strings.Index(l[1:], ": ") + 1
		p.ok(p.enc.WriteField(hpack.HeaderField{Name: l[:i], Value: l[i+2:], Sensitive: never}))
	}
	return bytes.Clone(p.buf.Bytes())
}

// basic is a request without body.
var basic = []string{":method: GET", ":scheme: http", ":path: /", ":authority: example.com"}

// basicPost is one with.
var basicPost = []string{":method: POST", ":scheme: http", ":path: /", ":authority: example.com"}

func with(lines []string, more ...string) []string {
	return append(append([]string(nil), lines...), more...)
}

func (p *peer) headers(id uint32, end bool, lines ...string) {
	p.t.Helper()
	p.ok(p.tryHeaders(id, end, lines...))
}

func (p *peer) tryHeaders(id uint32, end bool, lines ...string) error {
	return p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(lines...), EndStream: end, EndHeaders: true})
}

func (p *peer) data(id uint32, end bool, text string) {
	p.t.Helper()
	p.ok(p.fr.WriteData(id, end, []byte(text)))
}

// next returns the next frame in words; housekeeping (settings, window
// updates, the date) is passed over. "EOF" is the end.
func (p *peer) next() string {
	p.t.Helper()
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed) {
				return "EOF"
			}
			return err.Error()
		}
		end := ""
		switch f := f.(type) {
		case *xhttp2.SettingsFrame, *xhttp2.WindowUpdateFrame:
			continue
		case *xhttp2.PingFrame:
			if f.IsAck() {
				return fmt.Sprintf("PONG %s", bytes.TrimRight(f.Data[:], "\x00"))
			}
			return fmt.Sprintf("PING %s", bytes.TrimRight(f.Data[:], "\x00"))
		case *xhttp2.DataFrame:
			if f.StreamEnded() {
				end = " END"
			}
			return fmt.Sprintf("DATA %d %q%s", f.StreamID, f.Data(), end)
		case *xhttp2.HeadersFrame:
			if f.StreamEnded() {
				end = " END"
			}
			return fmt.Sprintf("HEADERS %d %s%s", f.StreamID, p.decode(f), end)
		case *xhttp2.RSTStreamFrame:
			return fmt.Sprintf("RST %d %s", f.StreamID, f.ErrCode)
		case *xhttp2.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode)
		default:
			return fmt.Sprint(f)
		}
	}
}

func (p *peer) decode(f *xhttp2.HeadersFrame) string {
	p.got, p.secret = nil, nil
	p.must(p.dec.Write(f.HeaderBlockFragment()))
	for ended := f.HeadersEnded(); !ended; {
		next, err := p.fr.ReadFrame()
		p.ok(err)
		c := next.(*xhttp2.ContinuationFrame)
		p.must(p.dec.Write(c.HeaderBlockFragment()))
		ended = c.HeadersEnded()
	}
	p.ok(p.dec.Close())
	var words []string
	for _, hf := range p.got {
		if hf.Name != "date" {
			words = append(words, hf.Name+"="+hf.Value)
		}
	}
	return "[" + strings.Join(words, " ") + "]"
}

// expect reads frames and compares them with want; "..." stands for any end.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		begin, any := strings.CutSuffix(w, "...")
		if got := p.next(); got != w && !(any && strings.HasPrefix(got, begin)) {
			p.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// halfPreface is a caller that stops in the middle of its first words.
func halfPreface(t testing.TB) (p *peer, wait func() error) {
	a, b := conn.Pipe()
	_, wait = serve(t, b, protocol.ServerOptions{}, handlerFunc(plain))
	p = newPeer(t, a)
	p.must(io.WriteString(a, preface[:20]))
	return p, wait
}
