package http1

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
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const (
	offer    = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
)

// joined is a caller's connection to a server whose requests go to a host that
// the test plays.
type joined struct {
	*served
	host chan *hostConn
	// records are what is known about the exchanges that are over.
	mu      sync.Mutex
	records []string
}

// hostConn is the host's end of one connection.
type hostConn struct {
	*conn.PipeConn
	r *bufio.Reader
}

// join makes a caller's connection and gets it to the host, with the fields
// of Info that matter noted in the end, by a handler that change may replace.
func join(t testing.TB, change func(*stream.Request), options ...serverOption) *joined {
	t.Helper()
	j := &joined{host: make(chan *hostConn, 10)}
	to := &forward{dial: func() (net.Conn, error) {
		ours, theirs := conn.NewPipe("proxy", "host")
		t.Cleanup(func() { _ = theirs.Close() })
		j.host <- &hostConn{theirs, bufio.NewReader(theirs)}
		return ours, nil
	}}
	j.served = serve(t, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if change != nil {
			change(req)
		}
		resp, err := to.Handle(ctx, req)
		if err == nil {
			resp.Body = &noted{ReadCloser: resp.Body, j: j, req: req, status: resp.Status}
		}
		return resp, err
	}), options...)
	return j
}

// noted notes how an exchange ended.
type noted struct {
	io.ReadCloser
	j      *joined
	req    *stream.Request
	status int
	err    error
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.ReadCloser.Read(p)
	if err != nil && n.err == nil {
		n.err = err
	}
	return k, err
}

func (n *noted) Close() error {
	err := n.ReadCloser.Close()
	n.j.mu.Lock()
	defer n.j.mu.Unlock()
	n.j.records = append(n.j.records, fmt.Sprintf("%d in %d out %d: %v", n.status, n.req.Info.BytesIn, n.req.Info.BytesOut, n.err))
	return err
}

// record checks the record of the only exchange.
func (j *joined) record(t testing.TB, want string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.records) != 1 || !strings.HasPrefix(j.records[0], want) {
		t.Errorf("records %q, want %q", j.records, want)
	}
}

// request reads a request, which must have no body.
func (h *hostConn) request(t testing.TB) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(h.r)
	if err != nil {
		t.Fatalf("the host reads: %v", err)
	}
	return req
}

func (h *hostConn) send(t testing.TB, raw string) {
	t.Helper()
	if _, err := io.WriteString(h, raw); err != nil {
		t.Fatalf("the host writes: %v", err)
	}
}

// tunnel has offer sent and agreed to.
func (j *joined) tunnel(t testing.TB) *hostConn {
	t.Helper()
	j.send(t, offer)
	h := <-j.host
	if req := h.request(t); req.Header.Get("Upgrade") != "x" || req.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("the host got %v", req.Header)
	}
	h.send(t, accepted)
	j.head(t, accepted)
	return h
}

// head checks the next bytes to the caller.
func (s *served) head(t testing.TB, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(s.r, got); err != nil || string(got) != want {
		t.Fatalf("the caller got %q, %v, want %q", got[:n], err, want)
	}
}

// gets checks the next bytes to the host.
func (h *hostConn) gets(t testing.TB, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(h.r, got); err != nil || string(got) != want {
		t.Fatalf("the host got %q, %v, want %q", got[:n], err, want)
	}
}

// over checks that the host's connection ends, with nothing more on it.
func (h *hostConn) over(t testing.TB) {
	t.Helper()
	if rest, err := io.ReadAll(h.r); len(rest) > 0 || err != nil {
		t.Fatalf("the host got %q, %v, want the end", rest, err)
	}
}

// The fields of both heads pass, but for those of one hop.
func TestUpgradeHeads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := join(t, nil)
		j.send(t, "GET /chat?a HTTP/1.1\r\nHost: shop\r\nupgrade: X/2, y\r\nUpgrade: h2c,z\r\nConnection: keep-alive, UPGRADE, Q\r\nQ: 1\r\nKey: k\r\nContent-Length: 0\r\n\r\n")
		h := <-j.host
		raw := "GET /chat?a HTTP/1.1\r\nHost: shop\r\nKey: k\r\nConnection: Upgrade\r\nUpgrade: X/2, y, z\r\n\r\n"
		h.gets(t, raw)
		h.send(t, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 101 Go\r\nAccept: k\r\nUPGRADE: y\r\nConnection: upgrade, W\r\nW: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n")
		j.head(t, "HTTP/1.1 101 Switching Protocols\r\nAccept: k\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n")
		_ = h.Close()
		j.closed(t)
	})
}

// A host that declines answers an ordinary request: what came behind the
// request is the next one, and both connections live on.
func TestUpgradeDeclined(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: d\r\n\r\nno", "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nno"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: d\r\n\r\n2\r\nno\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"},
		{
			"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: h2c, y\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 426 Upgrade Required\r\nDate: d\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n",
		},
		{"HTTP/1.1 426 Upgrade Required\r\nUpgrade: y\r\nDate: d\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\nDate: d\r\nContent-Length: 0\r\n\r\n"},
		{"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: x\r\nDate: d\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: x\r\nDate: d\r\nContent-Length: 0\r\n\r\n"},
		{"HTTP/1.1 204 No Content\r\nUpgrade: x\r\nConnection: upgrade\r\nDate: d\r\n\r\n", "HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n"},
	} {
		bubble(t, func(t *testing.T) {
			j := join(t, nil)
			j.send(t, offer+"GET /next HTTP/1.1\r\nHost: shop\r\n\r\n"+offer+"raw")
			h := <-j.host
			h.request(t)
			time.Sleep(50 * time.Millisecond)
			h.send(t, c.answer)
			j.head(t, c.want)
			h = <-j.host
			if req := h.request(t); req.URL.Path != "/next" || req.Header.Get("Upgrade") != "" {
				t.Fatalf("the host got %+v", req)
			}
			h.send(t, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 4\r\n\r\nnext")
			j.head(t, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 4\r\n\r\nnext")
			h = <-j.host // the same connection offers again
			h.request(t)
			h.send(t, accepted)
			j.head(t, accepted)
			h.gets(t, "raw")
		})
		bubble(t, func(t *testing.T) {
			d := dial(t)
			go func() {
				d.gets(t, offer)
				_, _ = io.WriteString(d.host, c.answer)
			}()
			req := get("/chat")
			req.Upgrade, req.Tunnel = "x", io.NopCloser(neverRead{t})
			resp, err := d.Handle(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			read(t, resp)
			d.state(t, 1, true)
		})
	}
}

type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("the tunnel was read")
	return 0, io.EOF
}

// A 101 that is none, or is to something else, is a failure of the host. The
// caller may go on.
func TestUpgradeWrong(t *testing.T) {
	for name, answer := range map[string]string{
		"another protocol":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n",
		"one more protocol":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x, y\r\n\r\n",
		"two Upgrades":       "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nUpgrade: y\r\n\r\n",
		"another version":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x/2\r\n\r\n",
		"no Upgrade":         "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
		"empty Upgrade":      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:\r\n\r\n",
		"no Connection":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"Connection: close":  "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\nUpgrade: x\r\n\r\n",
		"a length":           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello",
		"chunks":             "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.0":           "HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"nothing whole":      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgr",
		"h2c without asking": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := join(t, nil)
				j.send(t, offer+"GET /next HTTP/1.1\r\nHost: shop\r\n\r\n")
				h := <-j.host
				h.request(t)
				h.send(t, answer)
				_ = h.CloseWrite()
				if a := j.answer(t, "GET"); a.status != 502 {
					t.Errorf("answered %d", a.status)
				}
				h.over(t) // nothing of the next request
				h = <-j.host
				h.request(t)
				h.send(t, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
				j.want(t, 200, "next")
			})
		})
	}
}

// What is no offer, or none that is passed on, is an ordinary request: the
// host sees nothing of it.
func TestUpgradeNotOffered(t *testing.T) {
	get := func(fields string) string { return "GET / HTTP/1.1\r\nHost: shop\r\n" + fields + "\r\n" }
	for name, raw := range map[string]string{
		"no connection option": get("Upgrade: x\r\n"),
		"no Upgrade":           get("Connection: Upgrade\r\n"),
		"empty":                get("Connection: Upgrade\r\nUpgrade: , ,\r\n"),
		"h2c":                  get("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
		"h2c among":            get("Connection: Upgrade\r\nUpgrade: H2C , tls/1.2,http/1.0\r\n"),
		"no protocol":          get("Connection: Upgrade\r\nUpgrade: a b\r\n"),
		"no version":           get("Connection: Upgrade\r\nUpgrade: websocket/\r\n"),
		"POST":                 "POST / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
		"HEAD":                 "HEAD / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.0":             "GET / HTTP/1.0\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"body":                 get("Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n") + "b",
		"chunked body":         get("Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n") + "1\r\nb\r\n0\r\n\r\n",
		"chunked empty body":   get("Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := join(t, func(req *stream.Request) {
					if req.Upgrade != "" || req.Tunnel != nil {
						t.Errorf("the handler got %q", req.Upgrade)
					}
				})
				j.send(t, raw)
				h := <-j.host
				req := h.request(t)
				_, _ = io.Copy(io.Discard, req.Body)
				if req.Header.Get("Upgrade") != "" || req.Header.Get("Connection") != "" {
					t.Errorf("the host got %v", req.Header)
				}
				h.send(t, accepted)
				if a := j.answer(t, req.Method); a.status != 502 { // it was not asked
					t.Errorf("answered %d", a.status)
				}
			})
		})
	}
}

// A client offers only what it can keep.
func TestUpgradeClientOffers(t *testing.T) {
	for name, c := range map[string]struct {
		upgrade      string
		tunnel, body io.ReadCloser
		refused      bool
	}{
		"without tunnel": {upgrade: "x"},
		"with a body":    {upgrade: "x", tunnel: io.NopCloser(neverRead{t}), body: io.NopCloser(strings.NewReader(""))},
		"h2c":            {upgrade: "h2c", tunnel: io.NopCloser(neverRead{t}), refused: true},
		"two lines":      {upgrade: "x\r\nA: b", tunnel: io.NopCloser(neverRead{t}), refused: true},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			req := get("/")
			req.Upgrade, req.Tunnel, req.Body = c.upgrade, c.tunnel, c.body
			if c.refused {
				_, err := d.Handle(t.Context(), req)
				wantError(t, err, stream.BadMessage, stream.Local, false)
				d.state(t, 1, true)
				return
			}
			go func() {
				got, err := http.ReadRequest(d.r)
				if err != nil || got.Header.Get("Upgrade") != "" || got.Header.Get("Connection") != "" {
					t.Errorf("%s: the host got %v, %v", name, got, err)
				}
				_, _ = io.WriteString(d.host, accepted)
			}()
			_, err := d.Handle(t.Context(), req)
			wantError(t, err, stream.BadMessage, stream.Upstream, false)
		})
	}
}

// FuzzUpgrade has a caller offer anything and a host answer anything. What is
// offered to the host is a list of protocols none of which hides requests; a
// tunnel passes on exactly what came behind the host's head.
func FuzzUpgrade(f *testing.F) {
	for _, s := range []string{"websocket", "x", "x/1, h2c", "h2c", ",", "a b", "TLS/1.0", "x,\tX", "h2c/x,y", "\x80"} {
		f.Add(s, []byte(accepted+"hello"))
		f.Add(s, []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"))
		f.Add(s, []byte("HTTP/1.1 426 No\r\nUpgrade: "+s+"\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, offered string, answer []byte) {
		passed := passable(offered)
		if passable(passed) != passed {
			t.Fatalf("%q becomes %q, and that %q", offered, passed, passable(passed))
		}
		if !validValue(passed) {
			t.Fatalf("%q becomes %q", offered, passed)
		}
		for item := range strings.SplitSeq(passed, ",") {
			if name, _, _ := strings.Cut(strings.TrimSpace(item), "/"); strings.EqualFold(name, "h2c") || strings.EqualFold(name, "tls") {
				t.Fatalf("%q is passed on", passed)
			}
		}
		if passed == "" {
			return
		}
		client, host := conn.NewPipe("client", "host")
		cl := Protocol{}.NewClient(conn.New(client), protocol.ClientOptions{})
		defer func() { _ = cl.Close() }()
		_, _ = host.Write(answer)
		_ = host.CloseWrite()
		req := get("/")
		req.Upgrade, req.Tunnel = passed, io.NopCloser(strings.NewReader("up"))
		req.Limit(time.Now().Add(20 * time.Second))
		resp, err := cl.Handle(t.Context(), req)
		if err != nil {
			return
		}
		defer func() { _ = resp.Close() }()
		if resp.Status != 101 {
			if resp.Status < 200 || resp.Upgrade != "" && (resp.Status != 426 || passable(resp.Upgrade) != resp.Upgrade) {
				t.Fatalf("status %d, upgrade %q", resp.Status, resp.Upgrade)
			}
			return
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.HasSuffix(answer, got) || !bytes.HasSuffix(bytes.TrimSuffix(answer, got), crlfcrlf) {
			t.Fatalf("%q came out of %q, %v", got, answer, err)
		}
	})
}
