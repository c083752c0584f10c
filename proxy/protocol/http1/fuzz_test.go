package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// seeds are requests that exercise every branch of the parsers.
var seeds = []string{
	"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET http://u:80/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
	"OPTIONS http://h HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
	"\r\nGET / HTTP/1.0\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nTrailer: a\r\nTE: trailers\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x85....hello",
	"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: a/1, h2c\r\nUpgrade: ,b\r\nConnection: UPGRADE,\r\nContent-Length: 0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: \r\nUpgrade: a b\r\nConnection: Upgrade, Upgrade\r\n\r\n",
	"GET /%zz?%zz HTTP/1.1\r\nHost: [::1]:1\r\nA:\xe9\r\n\r\n",
	"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
}

var responseSeeds = append([]string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
	"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.0 200\r\n\r\nuntil the end",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: close, a\r\nA: 1\r\nSet-Cookie: x\r\nSet-Cookie: y\r\n\r\n",
}, badResponses...)

const fuzzLimit = 8 << 10

// heldConn is a connection whose read buffer is fed from raw; no goroutine is involved.
func heldConn(raw []byte) *conn.Conn { return conn.New(&held{r: bytes.NewReader(raw)}) }

type held struct {
	net.Conn
	r *bytes.Reader
	w bytes.Buffer
}

func (h *held) Read(p []byte) (int, error)       { return h.r.Read(p) }
func (h *held) Write(p []byte) (int, error)      { return h.w.Write(p) }
func (h *held) Close() error                     { return nil }
func (h *held) SetReadDeadline(time.Time) error  { return nil }
func (h *held) SetWriteDeadline(time.Time) error { return nil }

// parseRequest reads one request with its body. A body that is not whole is an error.
func parseRequest(raw []byte) (req *stream.Request, f *framing, body []byte, err error) {
	c := heldConn(raw)
	defer c.Free()
	req, f = new(stream.Request), new(framing)
	f.reset()
	if err := readRequest(c, fuzzLimit, nil, req, f); err != nil {
		return nil, nil, nil, err
	}
	kind := bodyNone
	switch {
	case f.chunked:
		kind = bodyChunked
	case f.length > 0:
		kind = bodyLength
	}
	var b bodyReader
	b.reset(c, kind, f.length, &req.Trailer)
	text, err := readBy(&b, 512)
	return req, f, []byte(text), err
}

// FuzzRequestHead compares our reading of a request with net/http's: what we
// accept, net/http accepts with the same meaning. What we refuse is refused
// with a status.
//
// net/http differs from us where RFC 9110 and 9112 leave a choice; allowed
// says where and why. Nothing of it is about framing.
func FuzzRequestHead(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, frame, body, err := parseRequest(raw)
		if req == nil {
			refused, ok := errors.AsType[*badMessage](err)
			if !ok && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("refused with %v", err)
			}
			if ok && (refused.status < 400 || refused.status > 505 || refused.reason == "") {
				t.Fatalf("refused with %+v", refused)
			}
			return
		}
		theirs, herr := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if herr != nil {
			if why := allowed(req, herr); why == "" {
				t.Fatalf("we accept what net/http refuses: %v", herr)
			}
			return
		}
		compareRequests(t, req, frame, theirs)
		theirBody, herr := io.ReadAll(theirs.Body)
		if err == nil && (herr != nil || !bytes.Equal(theirBody, body)) && !allowedBody(frame, herr) {
			t.Fatalf("our body is %q, net/http's is %q, %v", body, theirBody, herr)
		}
	})
}

// allowed names the reason why net/http may refuse a head that we accept, "" for none.
func allowed(req *stream.Request, err error) string {
	for _, d := range []struct {
		text, why string
		holds     bool
	}{
		// A proxy passes the path on as sent; net/http takes it apart.
		{"invalid URL escape", "percent-encoding is the origin's to judge", strings.Contains(req.Path+req.Authority, "%")},
		{"invalid URI for request", "percent-encoding is the origin's to judge", strings.Contains(req.Path+req.Authority, "%")},
		// The host in an absolute target; routes find no host like that.
		{"parse ", "net/url knows more about hosts than their characters", strings.ContainsAny(req.Authority, ":[]%&'()*+,;=!$~")},
	} {
		if d.holds && strings.Contains(err.Error(), d.text) {
			return d.why
		}
	}
	return ""
}

// allowedBody tells where net/http may refuse a body that we accept: it has no
// patience with chunk extensions in bulk.
func allowedBody(f *framing, err error) bool {
	return f.chunked && err != nil && strings.Contains(err.Error(), "chunked encoding contains too much non-data")
}

func compareRequests(t *testing.T, req *stream.Request, f *framing, theirs *http.Request) {
	t.Helper()
	target := req.Path
	if req.HasQuery {
		target += "?" + req.Query
	}
	uri := theirs.RequestURI
	if i := strings.Index(uri, "://"); i > 0 && uri[0] != '/' { // the absolute form
		rest := uri[i+3:]
		at := strings.IndexAny(rest, "/?")
		if at < 0 {
			at = len(rest)
		}
		if uri = rest[at:]; uri == "" && req.Method == "OPTIONS" {
			uri = "*"
		} else if !strings.HasPrefix(uri, "/") {
			uri = "/" + uri
		}
	}
	if req.Method != theirs.Method || target != uri || req.Authority != theirs.Host {
		t.Fatalf("we read %s %q %q, net/http %s %q %q", req.Method, target, req.Authority, theirs.Method, uri, theirs.Host)
	}
	if f.http10 == theirs.ProtoAtLeast(1, 1) {
		t.Fatalf("we read HTTP/1.0 %v, net/http %s", f.http10, theirs.Proto)
	}
	length := f.length
	if f.chunked {
		length = -1
	}
	if got := theirs.ContentLength; got != length && (got != 0 || length > 0) || f.chunked != slices.Equal(theirs.TransferEncoding, []string{"chunked"}) {
		t.Fatalf("we read length %d, chunked %v; net/http %d, %v", length, f.chunked, got, theirs.TransferEncoding)
	}
	if f.close && !theirs.Close {
		t.Fatalf("only we read close")
	}
	// Every end-to-end field is in net/http's header, with its values in order.
	names := map[string][]string{}
	for name, value := range req.Header.All() {
		key := http.CanonicalHeaderKey(name)
		names[key] = append(names[key], value)
	}
	for key, values := range names {
		if !slices.Equal(values, theirs.Header[key]) {
			t.Fatalf("%s: we read %q, net/http %q", key, values, theirs.Header[key])
		}
	}
	for key := range theirs.Header {
		named := slices.ContainsFunc(f.connection, func(option string) bool { return strings.EqualFold(option, key) })
		if names[key] == nil && special(key) == fieldOther && !named {
			t.Fatalf("we lost %s", key)
		}
	}
}

// FuzzRequestRoundTrip: what the client writes, the server reads back the same.
func FuzzRequestRoundTrip(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, frame, body, err := parseRequest(raw)
		if err != nil {
			return
		}
		req.ContentLength = frame.length
		if frame.chunked || frame.length > 0 {
			req.Body = io.NopCloser(bytes.NewReader(body))
		}
		if err := checkRequest(req); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		sink := &held{r: bytes.NewReader(nil)}
		c := conn.New(sink)
		writeRequestHead(c.Writer(), req)
		kind := bodyNone
		switch {
		case req.Body != nil && frame.chunked:
			kind = bodyChunked
		case req.Body != nil:
			kind = bodyLength
		}
		if _, err := copyBody(c, req.Body, kind, req.ContentLength, &req.Trailer, nil); err != nil {
			t.Fatal(err)
		}
		c.Free()
		if req.Authority == "" {
			return // HTTP/1.0 without Host; we do not read that as 1.1
		}
		again, frame2, body2, err := parseRequest(sink.w.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%q", err, sink.w.Bytes())
		}
		// The scheme of an absolute target and HTTP/1.0 end here.
		again.Scheme = req.Scheme
		plain := framing{length: frame.length, chunked: frame.chunked}
		if frame2.length == 0 && frame.length < 0 && methodTakesBody(req.Method) {
			frame2.length = frame.length
		}
		if frame2.length < 0 && frame.length == 0 {
			frame2.length = 0
		}
		if got, want := describe(again, frame2), describe(req, &plain); got != want || !bytes.Equal(body, body2) {
			t.Fatalf("written and read again:\n got %q %q\nwant %q %q", got, body2, want, body)
		}
		if got, want := fmt.Sprint(again.Trailer), fmt.Sprint(req.Trailer); again.Trailer.Len() != req.Trailer.Len() {
			t.Fatalf("trailer %v, want %v", got, want)
		}
	})
}

// FuzzResponseHead compares our reading of an answer with net/http's.
func FuzzResponseHead(f *testing.F) {
	for _, s := range responseSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := heldConn(raw)
		defer c.Free()
		var resp stream.Response
		var frame framing
		frame.reset()
		if readResponse(c, fuzzLimit, &resp, &frame) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			t.Fatalf("we accept what net/http refuses: %v", err)
		}
		defer func() { _ = theirs.Body.Close() }()
		if resp.Status != theirs.StatusCode || frame.http10 == theirs.ProtoAtLeast(1, 1) {
			t.Fatalf("we read %d, net/http %d %s", resp.Status, theirs.StatusCode, theirs.Proto)
		}
		if semantics.NoBody("GET", resp.Status) {
			return // net/http does not say what the fields would mean
		}
		length := frame.length
		if frame.chunked {
			length = -1
		}
		if length != theirs.ContentLength || frame.chunked != slices.Equal(theirs.TransferEncoding, []string{"chunked"}) {
			t.Fatalf("we read length %d, chunked %v; net/http %d, %v", length, frame.chunked, theirs.ContentLength, theirs.TransferEncoding)
		}
		for name, value := range resp.Header.All() {
			if !slices.Contains(theirs.Header[http.CanonicalHeaderKey(name)], value) {
				t.Fatalf("%s: %q is not in %q", name, value, theirs.Header)
			}
		}
	})
}

// FuzzChunked reads the same chunks in pieces of different sizes: the outcome
// is always the same, and what we accept, net/http accepts.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n", "5\nhello\r\n0\r\n\r\n",
		"a\r\n0123456789\r\n0\r\nContent-Length: 5\r\n\r\nrest", "ffffffffffffffff\r\n", "5 \r\nhello\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want string
		var wantErr error
		for i, size := range []int{1, 7, 4096} {
			c := heldConn(raw)
			var trailer stream.Header
			var b bodyReader
			b.reset(c, bodyChunked, 0, &trailer)
			got, err := readBy(&b, size)
			c.Free()
			if len(got) > len(raw) {
				t.Fatalf("%d bytes came out of %d", len(got), len(raw))
			}
			if i == 0 {
				want, wantErr = got, err
			}
			if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("by %d: %q, %v; by 1: %q, %v", size, got, err, want, wantErr)
			}
		}
		if wantErr != nil {
			return
		}
		head := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), bytes.NewReader(raw))))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(req.Body); string(got) != want && !allowedBody(&framing{chunked: true}, err) {
			t.Fatalf("net/http reads %q, %v; we read %q", got, err, want)
		}
	})
}

// FuzzServer throws bytes at a server, cut into writes in different ways. It
// ends the connection, having answered each request or refused the bytes; it
// never panics, never answers what was not asked, and keeps bounded memory.
func FuzzServer(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), uint8(i))
		f.Add([]byte(s+s), uint8(200))
	}
	srv, err := Protocol{}.NewServer(protocol.ServerOptions{Extend: map[string]any{"max_header_size": fuzzLimit}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint8) {
		client, server := conn.NewPipe("caller", "server")
		c := conn.New(server)
		ended := make(chan error, 1)
		calls := 0
		go func() {
			err := srv.ServeConn(t.Context(), c, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				if calls++; req.Path == "" || req.Method == "" || req.Header.Len() > maxFields {
					t.Errorf("the handler got %+v", req)
				}
				switch cut % 3 {
				case 0:
					return text(200, "ok"), nil
				case 1:
					return nil, stream.Errorf(stream.NoRoute, stream.Local, "no")
				}
				return echo(ctx, req)
			}))
			_ = c.Close()
			c.Free()
			ended <- err
		}()
		go func() {
			for rest := raw; len(rest) > 0; {
				n := min(len(rest), int(cut)+1)
				if _, err := client.Write(rest[:n]); err != nil {
					break
				}
				rest = rest[n:]
			}
			_ = client.CloseWrite()
		}()
		_ = client.SetReadDeadline(time.Now().Add(time.Minute))
		r := bufio.NewReader(client)
		answers := 0
		for {
			resp, err := http.ReadResponse(r, nil)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("neither answered nor closed: %v", err)
			}
			if err != nil {
				break
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				break
			}
			if resp.StatusCode >= 200 {
				answers++
			}
		}
		_ = client.Close()
		if err := <-ended; err != nil {
			t.Logf("ended with %v", err)
		}
		if answers > calls+1 {
			t.Fatalf("%d answers to %d requests", answers, calls)
		}
	})
}

// FuzzClient has a host answer with anything. The exchange ends, and what is
// passed on is never more than the host sent.
func FuzzClient(f *testing.F) {
	for _, s := range responseSeeds {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		client, host := conn.NewPipe("client", "host")
		released := 0
		cl := Protocol{}.NewClient(conn.New(client), protocol.ClientOptions{Released: func() { released++ }})
		go func() {
			_, _ = host.Write(raw)
			_ = host.CloseWrite()
		}()
		req := get("/")
		if head {
			req.Method = "HEAD"
		}
		req.Limit(time.Now().Add(20 * time.Second))
		resp, err := cl.Handle(t.Context(), req)
		if err == nil {
			if resp.Status < 200 || resp.Status > 599 {
				t.Errorf("status %d", resp.Status)
			}
			if err := checkFields(&resp.Header); err != nil {
				t.Error(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if n > int64(len(raw)) || head && n > 0 {
				t.Errorf("%d bytes of body came out of %d", n, len(raw))
			}
			if err == nil && resp.ContentLength >= 0 && !semantics.NoBody(req.Method, resp.Status) && n != resp.ContentLength {
				t.Errorf("%d bytes of body, length %d", n, resp.ContentLength)
			}
			_ = resp.Close()
		}
		if e := stream.AsError(err); err != nil && (e.Kind == stream.Timeout || e.Kind == stream.Internal) {
			t.Errorf("ended with %v", err)
		}
		if released != 1 {
			t.Errorf("released %d times", released)
		}
		_ = cl.Close()
		_ = host.Close()
	})
}
