package http1

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// bytesConn is a connection that holds raw, and ends then.
func bytesConn(t testing.TB, raw string) *conn.Conn {
	t.Helper()
	a, b := conn.Pipe()
	go func() {
		_, _ = io.WriteString(a, raw)
		_ = a.(*conn.PipeConn).CloseWrite()
	}()
	c := conn.New(b)
	t.Cleanup(func() {
		_ = c.Close()
		_ = a.Close()
		c.Free()
	})
	return c
}

// describe writes down a request head in one line.
func describe(req *stream.Request, f *framing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s", req.Method, req.Scheme, req.Authority, req.Path)
	if req.HasQuery {
		fmt.Fprintf(&b, " ?%s", req.Query)
	}
	switch {
	case f.chunked:
		b.WriteString(" chunked")
	case f.length >= 0:
		fmt.Fprintf(&b, " length=%d", f.length)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{f.http10, "1.0"}, {f.close, "close"}, {f.keepAlive, "keep-alive"}, {f.expectContinue, "expect"}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	for name, value := range req.Header.All() {
		fmt.Fprintf(&b, " [%s=%s]", name, value)
	}
	return b.String()
}

const host = "Host: h\r\n"

func TestReadRequest(t *testing.T) {
	many := strings.Repeat("a: b\r\n", maxFields-1)
	for _, c := range []struct{ raw, want string }{
		{"GET / HTTP/1.1\r\n" + host + "\r\n", "GET http h /"},
		{"GET /?a=b HTTP/1.1\r\n" + host + "\r\n", "GET http h / ?a=b"},
		{"GET /? HTTP/1.1\r\n" + host + "\r\n", "GET http h / ?"},
		{"GET /a?b?c HTTP/1.1\r\n" + host + "\r\n", "GET http h /a ?b?c"},
		{"GET //x/../y%2f HTTP/1.1\r\n" + host + "\r\n", "GET http h //x/../y%2f"},
		{"GET /\xc3\xa9\"<>\\^`{|} HTTP/1.1\r\n" + host + "\r\n", "GET http h /\xc3\xa9\"<>\\^`{|}"},
		{"get / HTTP/1.1\r\n" + host + "\r\n", "get http h /"},
		{"M-SEARCH / HTTP/1.1\r\n" + host + "\r\n", "M-SEARCH http h /"},
		{"GET / HTTP/1.0\r\n\r\n", "GET http  / 1.0"},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET http  / 1.0 keep-alive"},
		{"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "OPTIONS http h *"},
		{"OPTIONS http://x HTTP/1.1\r\n" + host + "\r\n", "OPTIONS http x *"},
		{"OPTIONS http://x/ HTTP/1.1\r\n" + host + "\r\n", "OPTIONS http x /"},
		{"OPTIONS http://x?q HTTP/1.1\r\n" + host + "\r\n", "OPTIONS http x / ?q"},
		{"GET http://other:80/p?q HTTP/1.1\r\n" + host + "\r\n", "GET http other:80 /p ?q"},
		{"GET HTTPS://other HTTP/1.1\r\n" + host + "\r\n", "GET https other /"},
		{"GET http://other?q HTTP/1.1\r\n" + host + "\r\n", "GET http other / ?q"},
		{"GET http://[::1]:8080/ HTTP/1.1\r\n" + host + "\r\n", "GET http [::1]:8080 /"},
		{"GET / HTTP/1.1\r\nHost:h:80 \t\r\n\r\n", "GET http h:80 /"},
		{"GET / HTTP/1.1\r\nhOST: [::1]\r\n\r\n", "GET http [::1] /"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", "POST http h / length=0"},
		{"POST / HTTP/1.1\r\n" + host + "content-length:\t 007 \r\n\r\n", "POST http h / length=7"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: Chunked\r\n\r\n", "POST http h / chunked"},
		{"GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\n", "GET http h / length=5"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n", "POST http h / length=3 expect"},
		{"GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", "GET http h / close"},
		{"GET / HTTP/1.1\r\n" + host + "Connection: , CLOSE ,\t\r\n\r\n", "GET http h / close"},
		{"GET / HTTP/1.1\r\n" + host + "X-A: 1\r\nx-a: 2\r\nB:\r\n\r\n", "GET http h / [X-A=1] [x-a=2] [B=]"},
		{"GET / HTTP/1.1\r\n" + host + "A: \xe9\tb  c \r\n\r\n", "GET http h / [A=\xe9\tb  c]"},
		{"GET / HTTP/1.1\r\n" + host + "X_Y: 1\r\nX-Y: 2\r\n!#$%&'*+-.^_`|~9: z\r\n\r\n", "GET http h / [X_Y=1] [X-Y=2] [!#$%&'*+-.^_`|~9=z]"},
		// Hop by hop: what the hop before us meant for us alone.
		{"GET / HTTP/1.1\r\n" + host + "A: 1\r\nConnection: a, x-b\r\nX-B: 2\r\nC: 3\r\n\r\n", "GET http h / [C=3]"},
		{"GET / HTTP/1.1\r\n" + host + "A: 1\r\nConnection: close, a\r\nConnection: keep-alive\r\n\r\n", "GET http h / close keep-alive"},
		{"GET / HTTP/1.1\r\n" + host + "TE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n" +
			"Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: x\r\nTrailer: X\r\nAuthorization: Basic eQ==\r\n\r\n", "GET http h / [Trailer=X] [Authorization=Basic eQ==]"},
		{"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n", "GET http h /"},
		// Options cannot take away what frames and addresses the message.
		{"POST / HTTP/1.1\r\n" + host + "Connection: host, content-length\r\nContent-Length: 3\r\n\r\n", "POST http h / length=3"},
		{"GET / HTTP/1.1\r\n" + host + many + "\r\n", "GET http h /" + strings.Repeat(" [a=b]", maxFields-1)},
	} {
		var req stream.Request
		var f framing
		f.reset()
		if err := readRequest(bytesConn(t, c.raw), 64<<10, nil, &req, &f); err != nil {
			t.Errorf("%q: %v", c.raw, err)
			continue
		}
		if got := describe(&req, &f); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.raw, got, c.want)
		}
	}
}

func TestReadRequestRefused(t *testing.T) {
	big := strings.Repeat("x", 1000)
	for _, c := range []struct {
		raw    string
		status int
		reason string // part of it
	}{
		{"GET\r\n\r\n", 400, "method"},
		{"G(T / HTTP/1.1\r\n" + host + "\r\n", 400, "method"},
		{" GET / HTTP/1.1\r\n" + host + "\r\n", 400, "method"},
		{"GET  / HTTP/1.1\r\n" + host + "\r\n", 400, "request line"},
		{"GET /\r\n" + host + "\r\n", 400, "request line"},
		{"GET / \r\n" + host + "\r\n", 400, "request line"},
		{"GET / HTTP/1.1 \r\n" + host + "\r\n", 400, "request line"},
		{"GET / HTTP/1.1 x\r\n" + host + "\r\n", 400, "request line"},
		{"GET / http/1.1\r\n" + host + "\r\n", 400, "request line"},
		{"GET / HTTP/2.0\r\n" + host + "\r\n", 505, "version"},
		{"GET / HTTP/1.2\r\n" + host + "\r\n", 505, "version"},
		{"GET / HTTP/0.9\r\n" + host + "\r\n", 505, "version"},
		{"GET /a b HTTP/1.1\r\n" + host + "\r\n", 400, "request line"},
		{"GET /\ta HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET /\x00 HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET /\x7f HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET /\rx HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET /a#b HTTP/1.1\r\n" + host + "\r\n", 400, "fragment"},
		{"GET a HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET ftp://x/ HTTP/1.1\r\n" + host + "\r\n", 400, "target"},
		{"GET http:///x HTTP/1.1\r\n" + host + "\r\n", 400, "host in the request target"},
		{"GET http://u:p@x/ HTTP/1.1\r\n" + host + "\r\n", 400, "host in the request target"},
		{"GET * HTTP/1.1\r\n" + host + "\r\n", 400, "target *"},
		{"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501, "CONNECT"},
		{"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "no Host"},
		{"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, "several Host"},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"},
		{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host"},
		{"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "Host"},
		{"GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400, "field name"},
		{"GET / HTTP/1.1\r\n" + host + ": b\r\n\r\n", 400, "field name"},
		{"GET / HTTP/1.1\r\n" + host + "A\r\n\r\n", 400, "colon"},
		{"GET / HTTP/1.1\r\n" + host + " A: b\r\n\r\n", 400, "folded"},
		{"GET / HTTP/1.1\r\n" + host + "A: b\r\n\tc\r\n\r\n", 400, "folded"},
		{"GET / HTTP/1.1\r\n" + host + "A: b\x00\r\n\r\n", 400, "control"},
		{"GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400, "CRLF"},
		{"GET / HTTP/1.1\n" + host + "\r\n", 400, "CRLF"},
		{"GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "CRLF"},
		{"GET / HTTP/1.1\r\nHost: h\r\n\n", 400, "CRLF"},
		{"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method"}, // one is skipped before this
		{"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "CRLF"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "several Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "several Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 0x1\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1_0\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775808\r\n\r\n", 400, "Content-Length"},
		{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "both"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n", 501, "coding"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \"chunked\"\r\n\r\n", 501, "coding"},
		{"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "several Transfer-Encoding"},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
		{"GET / HTTP/1.1\r\n" + host + "Connection: a b\r\n\r\n", 400, "Connection"},
		{"GET / HTTP/1.1\r\n" + host + "Connection: " + strings.Repeat("a,", 40) + "\r\n\r\n", 400, "connection options"},
		{"GET / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\n\r\n", 417, "expectation"},
		{"GET / HTTP/1.1\r\n" + host + strings.Repeat("a: b\r\n", maxFields) + "\r\n", 431, "too many"},
		{"GET /" + big + " HTTP/1.1\r\n" + host + "\r\n", 431, "too large"},
		{"GET / HTTP/1.1\r\n" + host + "A: " + big + "\r\n\r\n", 431, "too large"},
		{"GET / HTTP/1.1\r\n" + host + "A: " + big, 431, "too large"},
	} {
		var req stream.Request
		var f framing
		f.reset()
		limit := 1000
		if c.status == 431 && strings.Contains(c.reason, "many") {
			limit = 64 << 10
		}
		err := readRequest(bytesConn(t, c.raw), limit, nil, &req, &f)
		refused, ok := errors.AsType[*badMessage](err)
		if !ok || refused.status != c.status || !strings.Contains(refused.reason, c.reason) {
			t.Errorf("%q: got %+v, want %d %s", c.raw, err, c.status, c.reason)
		}
	}
}

// A head is read whole however it is cut, with every limit around its size.
func TestReadRequestLimits(t *testing.T) {
	for _, size := range []int{300, conn.BufferSize - 1, conn.BufferSize, conn.BufferSize + 1, 3 * conn.BufferSize, 64 << 10} {
		head := "GET / HTTP/1.1\r\nHost: h\r\nA: "
		head += strings.Repeat("x", size-len(head)-4) + "\r\n\r\n"
		for _, c := range []struct {
			limit int
			fits  bool
		}{{size - 1, false}, {size, true}, {size + 1, true}} {
			var req stream.Request
			var f framing
			f.reset()
			err := readRequest(bytesConn(t, head+"rest"), c.limit, nil, &req, &f)
			if (err == nil) != c.fits {
				t.Errorf("%d bytes, limit %d: %v", size, c.limit, err)
			}
		}
	}
}

func TestReadRequestCutOff(t *testing.T) {
	raw := "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	for i := range raw {
		var req stream.Request
		var f framing
		f.reset()
		want := io.ErrUnexpectedEOF
		if i == 0 {
			want = io.EOF
		}
		if err := readRequest(bytesConn(t, raw[:i]), 1000, nil, &req, &f); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", raw[:i], err, want)
		}
	}
}

func TestReadResponse(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"HTTP/1.1 200 OK\r\n\r\n", "200 []"},
		{"HTTP/1.1 200\r\n\r\n", "200 []"},
		{"HTTP/1.1 200 \r\n\r\n", "200 []"},
		{"HTTP/1.0 404 Not \xe9 Found\r\nA: b\r\n\r\n", "404 1.0 [{A b}]"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\nConnection: x-a\r\nX-A: 1\r\n\r\n", "200 length=5 []"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n", "200 chunked [{Set-Cookie a} {Set-Cookie b}]"},
		{"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\nTrailer: A\r\n\r\n", "407 [{Trailer A}]"},
		{"HTTP/1.1 200 OK\r\nHost: a\r\nHost: b c\r\nExpect: x\r\n\r\n", "200 []"},
		{"HTTP/1.1 599 OK\r\nConnection: close\r\n\r\n", "599 close []"},
		{"HTTP/1.1 100 Continue\r\n\r\n", "100 []"},
	} {
		var resp stream.Response
		var f framing
		f.reset()
		if err := readResponse(bytesConn(t, c.raw), 1000, &resp, &f); err != nil {
			t.Errorf("%q: %v", c.raw, err)
			continue
		}
		got := fmt.Sprint(resp.Status)
		switch {
		case f.chunked:
			got += " chunked"
		case f.length >= 0:
			got += fmt.Sprintf(" length=%d", f.length)
		}
		if f.http10 {
			got += " 1.0"
		}
		if f.close {
			got += " close"
		}
		fields := []stream.Field{}
		for i := range resp.Header.Len() {
			fields = append(fields, resp.Header.At(i))
		}
		if got += fmt.Sprintf(" %v", fields); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.raw, got, c.want)
		}
	}
}

// badResponses are heads that no host may send.
var badResponses = []string{
	"\r\n\r\n",
	"\r\nHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1\r\n\r\n",
	"HTTP/1.1 20 OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 099 OK\r\n\r\n",
	"HTTP/1.1 600 OK\r\n\r\n",
	"HTTP/1.1 2x0 OK\r\n\r\n",
	"HTTP/1.1  200 OK\r\n\r\n",
	"HTTP/1.1 -20 OK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"HTTP/1.2 200 OK\r\n\r\n",
	"ICY 200 OK\r\n\r\n",
	"HTTP/1.1 200 O\x00K\r\n\r\n",
	"HTTP/1.1 200 O\rK\r\n\r\n",
	"HTTP/1.1 200 OK\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
	"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA\r\n\r\n",
}

func TestReadResponseRefused(t *testing.T) {
	for _, raw := range badResponses {
		var resp stream.Response
		var f framing
		f.reset()
		err := readResponse(bytesConn(t, raw), 1000, &resp, &f)
		if _, ok := errors.AsType[*badMessage](err); !ok {
			t.Errorf("%q: got %v, want it refused", raw, err)
		}
	}
}

func TestChunked(t *testing.T) {
	long := strings.Repeat("x", maxChunkLine)
	for _, c := range []struct {
		raw, body, trailer string
		err                any // nil, io.ErrUnexpectedEOF or "refused"
	}{
		{raw: "0\r\n\r\n"},
		{raw: "000\r\n\r\n"},
		{raw: "5\r\nhello\r\n0\r\n\r\n", body: "hello"},
		{raw: "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", body: "01234567890123456789"},
		{raw: "005;a=b\r\nhello\r\n0;c=\"d;e\"\r\n\r\n", body: "hello"},
		{raw: "2\r\n\r\n\r\n0\r\n\r\n", body: "\r\n"},
		{raw: "1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum:2 \r\n\r\n", body: "a", trailer: "X-Sum=1 x-sum=2"},
		{raw: "0\r\nContent-Length: 5\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nSet-Cookie: a\r\n" +
			"Connection: close\r\nContent-Type: a\r\nTE: x\r\nTrailer: x\r\nA: b\r\n\r\n", trailer: "A=b"},
		{raw: "", err: io.ErrUnexpectedEOF},
		{raw: "5", err: io.ErrUnexpectedEOF},
		{raw: "5\r\nhel", body: "hel", err: io.ErrUnexpectedEOF},
		{raw: "5\r\nhello", body: "hello", err: io.ErrUnexpectedEOF},
		{raw: "5\r\nhello\r\n", body: "hello", err: io.ErrUnexpectedEOF},
		{raw: "5\r\nhello\r\n0\r\n", body: "hello", err: io.ErrUnexpectedEOF},
		{raw: "5\r\nhello\r\n0\r\nA: b\r\n", body: "hello", err: io.ErrUnexpectedEOF},
		{raw: "\r\n", err: "refused"},
		{raw: "5\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5\r\nhelloX\r\n0\r\n\r\n", body: "hello", err: "refused"},
		{raw: "5\r\nhello\n0\r\n\r\n", body: "hello", err: "refused"},
		{raw: "5\r\nhello\r0\r\n\r\n", body: "hello", err: "refused"},
		{raw: " 5\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5 \r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5 ;a\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5\r;a\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "0x5\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "+5\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "-5\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5_0\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: ";a\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5;a\x00\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "5;a\rb\r\nhello\r\n0\r\n\r\n", err: "refused"},
		{raw: "ffffffffffffffff\r\nx", err: "refused"},
		{raw: "1000000000000000\r\nx", err: "refused"},
		{raw: "1;" + long + "\r\nx\r\n0\r\n\r\n", err: "refused"},
		{raw: "0\r\nA b: c\r\n\r\n", err: "refused"},
		{raw: "0\r\n A: c\r\n\r\n", err: "refused"},
		{raw: "0\r\nA: c\n\r\n", err: "refused"},
		{raw: "0\r\nA\r\n\r\n", err: "refused"},
		{raw: "0\r\nA: " + strings.Repeat("x", maxTrailerLine) + "\r\n\r\n", err: "refused"},
		{raw: "0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 20) + "\r\n", err: "refused"},
		{raw: "0\r\n" + strings.Repeat("a:\r\n", maxFields+1) + "\r\n", err: "refused"},
	} {
		for _, size := range []int{1, 3, 4096} { // of the reads
			var trailer stream.Header
			var b bodyReader
			b.reset(bytesConn(t, c.raw), bodyChunked, 0, &trailer)
			body, err := readBy(&b, size)
			switch want := c.err.(type) {
			case nil:
				if err != nil {
					t.Errorf("%.60q: %v", c.raw, err)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("%.60q: got %v, want %v", c.raw, err, want)
				}
			case string:
				if _, ok := errors.AsType[*badMessage](err); !ok {
					t.Errorf("%.60q: got %v, want it refused", c.raw, err)
				}
			}
			var got []string
			if err == nil {
				for name, value := range trailer.All() {
					got = append(got, name+"="+value)
				}
			}
			if body != c.body || strings.Join(got, " ") != c.trailer {
				t.Errorf("%.60q: got %q and trailer %q, want %q and %q", c.raw, body, got, c.body, c.trailer)
			}
			if _, again := readBy(&b, size); !errors.Is(again, err) && err != nil {
				t.Errorf("%.60q: the error changed from %v to %v", c.raw, err, again)
			}
		}
	}
}

// readBy reads b to its end, size bytes at a time.
func readBy(b *bodyReader, size int) (string, error) {
	var all []byte
	p := make([]byte, size)
	for {
		n, err := b.read(p)
		all = append(all, p[:n]...)
		if errors.Is(err, io.EOF) {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
	}
}

// What is in the buffer decides whether a read waits, byte by byte.
func TestBuffered(t *testing.T) {
	const raw = "5;x\r\nhello\r\n3\r\nyou\r\n0\r\nA: b\r\n\r\n"
	data := []int{6, 16} // with so many bytes the first byte of a chunk is there
	for n := range len(raw) + 1 {
		a, b := conn.Pipe()
		c := conn.New(b)
		if n > 0 {
			if _, err := io.WriteString(a, raw[:n]); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Reader().Peek(n); err != nil {
				t.Fatal(err)
			}
		}
		var r bodyReader
		r.reset(c, bodyChunked, 0, new(stream.Header))
		if got, want := r.buffered(), n >= data[0]; got != want {
			t.Errorf("%q: buffered %v, want %v", raw[:n], got, want)
		}
		if got, want := r.ready(), n == len(raw); got != want {
			t.Errorf("%q: ready %v, want %v", raw[:n], got, want)
		}
		if n >= 10 { // read the first chunk's data
			p := make([]byte, 100)
			if m, err := r.read(p); m != 5 || err != nil {
				t.Fatal(m, err)
			}
			if got, want := r.buffered(), n >= data[1]; got != want {
				t.Errorf("after hello, %q: buffered %v, want %v", raw[10:n], got, want)
			}
		}
		_ = a.Close()
		_ = c.Close()
	}
}

func TestEndOfHead(t *testing.T) {
	raw := []byte("A\r\n\r\nrest\n")
	for from := range 5 {
		for n := from; n <= 5; n++ {
			want := 0
			if n == 5 {
				want = 5
			}
			if got, err := endOfHead(raw[:n], from); got != want || err != nil {
				t.Errorf("%q from %d: %d, %v, want %d", raw[:n], from, got, err, want)
			}
		}
	}
	if _, err := endOfHead([]byte("A\n"), 0); err == nil {
		t.Error("a bare LF was taken")
	}
}

func TestMatch(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "more", "GET": "more", "GET ": "more", "GET HT": "more", "GET key": "no", "HELO there": "no", "GET HTTP://h/": "match", "CONNECT h:1": "match", "OPTIONS *": "match", "GET / HTTP/1.1\r\n": "match", "PURGE /": "match",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "no", "PRI": "more", " GET": "no", "get ": "no", "\x16\x03\x01": "no",
		"G-T ": "no", strings.Repeat("A", 30): "no", "\xda\xbb": "no",
	} {
		got := [...]string{"no", "more", "match"}[Protocol{}.Match([]byte(prefix))]
		if got != want {
			t.Errorf("%q: %s, want %s", prefix, got, want)
		}
	}
}

func TestSpecialFields(t *testing.T) {
	names := []string{
		"TE", "Host", "Expect", "Upgrade", "Connection", "Keep-Alive", "Content-Length", "Proxy-Connection",
		"Transfer-Encoding", "Proxy-Authenticate", "Proxy-Authorization",
	}
	for _, name := range names {
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if special(s) == fieldOther {
				t.Errorf("%s is passed on", s)
			}
		}
		for _, s := range []string{name + "x", "x" + name, name[:len(name)-1] + "_"} {
			if special(s) != fieldOther && !slices.Contains(names, s) {
				t.Errorf("%s is taken for %s", s, name)
			}
		}
	}
}
