package bolt_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// byService is a route for requests with this header field "service".
func byService(service, cluster string) config.Route {
	r := proxytest.To("", cluster)
	r.Match.Headers = []config.HeaderMatch{{Name: "service", Value: service}}
	return r
}

// core is a whole core that speaks both versions, and HTTP/1, on listener "in",
// with hosts for the clusters echo, slow and gone.
func core(t *testing.T, hits *atomic.Int32) *proxytest.Server {
	t.Helper()
	protocols, err := protocol.NewTable(http1.Protocol{}, bolt.New(bolt.V1(), frame.Options{}), bolt.New(bolt.V2(), frame.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	n := &proxytest.Network{}
	for address, pause := range map[string]time.Duration{"echo:1": 0, "slow:1": time.Minute} {
		n.Host(address, func(nc net.Conn) {
			p, _ := protocols.Lookup("bolt")
			srv, err := p.NewServer(protocol.ServerOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			_ = srv.ServeConn(t.Context(), conn.New(nc), stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				hits.Add(1)
				time.Sleep(pause)
				b, err := io.ReadAll(req.Body)
				return &stream.Response{Status: 200, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b))}, err
			}))
			_ = nc.Close()
		})
	}
	in := proxytest.Listener("in", "main")
	in.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
	return proxytest.Start(t, n, &config.Snapshot{
		Listeners: []config.Listener{in},
		Routers:   []config.Router{proxytest.Router("main", byService("echo", "echo"), byService("slow", "slow"), byService("gone", "gone"))},
		Clusters:  []config.Cluster{proxytest.Cluster("echo", "echo:1"), proxytest.Cluster("slow", "slow:1"), proxytest.Cluster("gone", "gone:1")},
	}, proxytest.With(func(o *proxy.Options) { o.Protocols = protocols }))
}

// call makes a request.
func call(t *testing.T, codec bolt.Codec, id uint64, service string, limit time.Duration) []byte {
	t.Helper()
	h := new(stream.Header)
	h.Add("service", service)
	f, err := codec.Append(nil, &frame.Message{Type: frame.Request, ID: id, Timeout: limit, Header: h, Body: []byte("ping")})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// next reads the next frame.
func next(t *testing.T, c net.Conn, buf *[]byte) *frame.Message {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	for {
		if n, err := bolt.V1().Size(*buf); err != nil {
			t.Fatal(err)
		} else if n > 0 && n <= len(*buf) {
			m := read(t, slices.Clone((*buf)[:n]))
			*buf = (*buf)[n:]
			return m
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if *buf = append(*buf, b[:n]...); n == 0 && err != nil {
			t.Fatal(err)
		}
	}
}

// Rows E9 to E11, and the table of local errors, through the whole core.
func TestThroughCore(t *testing.T) {
	for _, codec := range []bolt.Codec{bolt.V1(), bolt.V2()} {
		t.Run(codec.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hits atomic.Int32
				s := core(t, &hits)
				c := s.Dial(t, "in")
				var buf []byte
				for i, k := range []struct {
					service string
					limit   time.Duration
					code    int
					took    time.Duration
					payload string
					status  int // in the record
				}{
					{"echo", 3 * time.Second, 0, 0, "ping", 200},
					{"nobody", 3 * time.Second, 6, 0, "", 404},
					{"gone", 3 * time.Second, 6, 0, "", 503},
					{"slow", 100 * time.Millisecond, 7, 100 * time.Millisecond, "", 504},
					{"slow", 0, 0, time.Minute, "ping", 200}, // no limit of its own: below zero, for ever
				} {
					start := time.Now()
					if _, err := c.Write(call(t, codec, uint64(100+i), k.service, k.limit)); err != nil {
						t.Fatal(err)
					}
					m := next(t, c, &buf)
					if m.ID != uint64(100+i) || m.Code != k.code || string(m.Payload()) != k.payload || time.Since(start) != k.took {
						t.Errorf("%s: after %v: %+v, payload %q", k.service, time.Since(start), m, m.Payload())
					}
					if k.code != 0 && m.Frame[0] != first(codec) {
						t.Errorf("%s: answered in version %d", k.service, m.Frame[0])
					}
					rec := s.Records.Last(t, i+1)
					if rec.Protocol != codec.Name() || rec.Status != k.status || (rec.Err == nil) != (k.status == 200) {
						t.Errorf("%s: record %+v", k.service, rec)
					}
				}
				if n := hits.Load(); n != 3 {
					t.Errorf("the hosts got %d requests", n)
				}
				_ = c.Close()
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// first is what frames of a codec begin with.
func first(c bolt.Codec) byte {
	if c == bolt.V2() {
		return 2
	}
	return 1
}

// MOSN's name of the option, too.
func TestOptions(t *testing.T) {
	for _, key := range []string{"enable_bolt_goaway", "enable_goaway"} {
		synctest.Test(t, func(t *testing.T) {
			extend := map[string]any{key: "true"}
			srv, err := bolt.New(bolt.V1(), frame.Options{}).NewServer(protocol.ServerOptions{Extend: extend})
			if err != nil || len(extend) != 1 {
				t.Fatalf("%s: %v", key, err)
			}
			near, far := conn.NewPipe("caller", "server")
			over := make(chan error, 1)
			c := conn.New(far)
			go func() {
				over <- srv.ServeConn(t.Context(), c, nil)
				_ = c.Close()
			}()
			synctest.Wait()
			c.Drain()
			var buf []byte
			if m := next(t, near, &buf); m.Type != frame.GoAway {
				t.Errorf("%s: got %+v", key, m)
			}
			if err := <-over; err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := bolt.New(bolt.V2(), frame.Options{PingPong: true}).NewServer(protocol.ServerOptions{Extend: map[string]any{"max_frame_size": "few"}}); err == nil {
		t.Error("a wrong option is accepted")
	}
}
