package mirror_test

import (
	"bufio"
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

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/retry"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// network runs the ends of connections in memory.
type network struct {
	wg    sync.WaitGroup
	pools []upstream.Sender
}

// to returns a pool whose connections serve answers.
func (n *network) to(p protocol.Protocol, serve func(net.Conn)) upstream.Sender {
	pool := upstream.New(upstream.PoolOptions{
		Name: "host", Protocol: p, ConnectTimeout: time.Second, WriteTimeout: time.Minute,
		Dial: func(context.Context) (net.Conn, error) {
			near, far := conn.Pipe()
			n.wg.Go(func() {
				defer func() { _ = far.Close() }()
				serve(far)
			})
			return near, nil
		},
	})
	n.pools = append(n.pools, pool)
	return pool
}

func (n *network) close() {
	for _, p := range n.pools {
		p.Close()
	}
	n.wg.Wait()
}

// served answers a connection in a protocol with h.
func served(t *testing.T, p protocol.Protocol, h stream.Handler) func(net.Conn) {
	srv, err := p.NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(nc net.Conn) {
		c := conn.New(nc)
		_ = srv.ServeConn(context.Background(), c, h)
		_ = c.Close()
		c.Free()
	}
}

// With real connections on all sides, and a retry below: the shadow gets one
// copy, while the caller is still sending; one that takes nothing, or refuses
// in the middle, slows nobody.
func TestF9OnTheWire(t *testing.T) {
	for _, p := range []protocol.Protocol{http1.Protocol{}, http2.Protocol{}} {
		for name, bad := range map[string]func(net.Conn){
			"silent": func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); <-time.After(30 * time.Second) },
			"closes": func(c net.Conn) { _, _ = c.Read(make([]byte, 100)) },
		} {
			t.Run(p.Name()+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var n network
					s := &shadow{}
					shadows := n.to(p, served(t, p, s))
					w, stop := newWorld(t, map[string][]stream.Handler{"shadow": {shadows}, "bad": {n.to(http1.Protocol{}, bad)}})
					busy := true
					hosts := n.to(http1.Protocol{}, func(c net.Conn) {
						r := bufio.NewReader(c)
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						if busy {
							busy = false
							_, _ = io.CopyN(io.Discard, req.Body, 4)
							_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
							return
						}
						body, _ := io.ReadAll(req.Body)
						_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					})
					h := w.handler(retry.New(hosts, nil))
					front := n.to(p, served(t, p, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
						req.Policy = &stream.Policy{
							Retry:   &stream.Retry{Max: 1, On: stream.RetryStatus},
							Mirrors: []stream.Mirror{{Cluster: "shadow", Percent: 100}, {Cluster: "bad", Percent: 100}},
						}
						req.Deadline = time.Now().Add(time.Minute)
						return h.Handle(ctx, req)
					})))
					in, want := newPieces(), strings.Repeat("more", 200_000)
					go func() {
						_, _ = io.WriteString(in.w, "one ")
						for rest := want; rest != ""; rest = rest[50_000:] {
							time.Sleep(time.Millisecond) // the shadow reads
							_, _ = io.WriteString(in.w, rest[:50_000])
						}
						_ = in.w.Close()
					}()
					start := time.Now()
					got := answer(t, front, &stream.Request{Method: "POST", Scheme: "http", Path: "/", Authority: "a", Body: in, ContentLength: -1})
					if got != "one "+want || time.Since(start) > 2*time.Second {
						t.Errorf("the caller got %d bytes after %v", len(got), time.Since(start))
					}
					w.wg.Wait()
					bodies, errs := s.got()
					if len(bodies) != 1 || bodies[0] != "one "+want {
						t.Errorf("%d copies, the shadow got %d bytes, %v", len(bodies), len(bodies[0]), errs[0])
					}
					stop()
					n.close()
				})
			})
		}
	}
}
