package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// rpc is a protocol of frames, as a test speaks it.
type rpc struct {
	protocol.Protocol
	// call is the payload of every call, and answer that of the answer to one.
	call   string
	answer func(text string) string
	// success is the protocol's own status of an answer.
	success string
}

// rpcs returns the protocols of frames that the core speaks.
func rpcs() []rpc {
	plain := func(text string) string { return text }
	return []rpc{
		{bolt.New(bolt.V1(), frame.Options{}), "a call", plain, "0"},
		{bolt.New(bolt.V2(), frame.Options{}), "a call", plain, "0"},
		{tars.New(frame.Options{}), "a call", plain, "0"},
		{
			frame.New(dubbo.Codec{}, frame.Options{}),
			// In Hessian 2: the protocol's version, service, version, method, no
			// arguments, no attachments; an answer is a value.
			"\x052.0.2\x05dubbo\x051.0.0\x04echo\x00H\x5a",
			func(text string) string { return "\x91" + string(rune(len(text))) + text },
			"20",
		},
	}
}

// speaking has a core speak HTTP and rpcs.
func speaking(t testing.TB) Option {
	t.Helper()
	all := []protocol.Protocol{http1.Protocol{}, http2.Protocol{}}
	for _, p := range rpcs() {
		all = append(all, p.Protocol)
	}
	table, err := protocol.NewTable(all...)
	must(t, err)
	return With(func(o *proxy.Options) { o.Protocols = table })
}

// ask returns a request to a service. The host sees number.
func (p rpc) ask(service string, number int) *stream.Request {
	req := &stream.Request{Method: "echo", Body: io.NopCloser(strings.NewReader(p.call)), ContentLength: int64(len(p.call))}
	req.Header.Add("service", service)
	req.Header.Add("number", strconv.Itoa(number))
	return req
}

// echo answers with the number of the request, after a while.
func (p rpc) echo(t testing.TB, while time.Duration) handler {
	return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if got, err := all(req.Body); err != nil || !strings.HasPrefix(got, p.call[:len(p.call)-2]) {
			t.Errorf("%s: the host got %q, %v", p.Name(), got, err)
		}
		select {
		case <-time.After(while):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		text := p.answer(req.Header.Get("number"))
		resp := &stream.Response{Status: 200, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
		resp.Header.Add(frame.StatusField, p.success)
		return resp, nil
	}
}

// caller returns a client on a connection of its own.
func (p rpc) caller(t testing.TB, nc net.Conn) protocol.Client {
	c := p.NewClient(conn.New(nc), protocol.ClientOptions{})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// try sends a request and returns the protocol's own status with the answer.
func (p rpc) try(c stream.Handler, service string, number int) (status, text string, err error) {
	resp, err := c.Handle(context.Background(), p.ask(service, number))
	if err != nil {
		return "", "", err
	}
	defer func() { _ = resp.Close() }()
	text, err = all(resp.Body)
	return resp.Header.Get(frame.StatusField), text, err
}

// toService returns a route for the requests to a service.
func toService(service, cluster string) config.Route {
	to := To("", cluster)
	to.Match = config.Match{Headers: []config.HeaderMatch{{Name: "service", Value: service}}}
	return to
}

// slowWriter sends what is written byte by byte.
type slowWriter struct{ net.Conn }

func (w slowWriter) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := w.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(time.Millisecond)
	}
	return len(p), nil
}

// One port takes every protocol at the same time, told by the first bytes of
// the connection, even where they come one by one.
func TestAutoRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "http:1", Echo("http"))
		web := To("/", "http")
		web.Route.UpstreamProtocol = "Http1"
		in := Listener("in", "main")
		in.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
		snapshot := &config.Snapshot{Listeners: []config.Listener{in}, Clusters: []config.Cluster{Cluster("http", "http:1")}}
		routes := []config.Route{web}
		for _, p := range rpcs() {
			n.Speak(t, p.Name()+":1", Protocol{Protocol: p.Protocol}, p.echo(t, 10*time.Millisecond))
			snapshot.Clusters = append(snapshot.Clusters, Cluster(p.Name(), p.Name()+":1"))
			routes = append(routes, toService(p.Name(), p.Name()))
		}
		snapshot.Routers = []config.Router{Router("main", routes...)}
		s := Start(t, n, snapshot, speaking(t))

		var wg sync.WaitGroup
		count := 0
		for i := range 4 {
			dial := func(slow bool) net.Conn {
				c := s.Dial(t, "in")
				if slow && i == 0 {
					c = slowWriter{c}
				}
				return c
			}
			for _, v2 := range []bool{false, true} {
				transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) {
					return dial(!v2), nil // that of HTTP/2 holds a lock while it writes, under which a bubble cannot sleep
				}}
				transport.Protocols.SetHTTP1(!v2)
				transport.Protocols.SetUnencryptedHTTP2(v2)
				t.Cleanup(transport.CloseIdleConnections)
				client, want := &http.Client{Transport: transport}, 1
				if v2 {
					want = 2
				}
				for k := range 10 {
					count++
					wg.Go(func() {
						path := fmt.Sprintf("/%d/%d", i, k)
						resp, err := client.Post("http://pay"+path, "text/plain", strings.NewReader("hello"))
						if err != nil {
							t.Error(err)
							return
						}
						defer func() { _ = resp.Body.Close() }()
						if got, err := all(resp.Body); got != "http: POST "+path+" hello" || resp.ProtoMajor != want || err != nil {
							t.Errorf("%s: %q, %v", resp.Proto, got, err)
						}
					})
				}
			}
			for _, p := range rpcs() {
				c := p.caller(t, dial(true))
				for k := range 10 {
					count++
					wg.Go(func() {
						number := 100*i + k
						status, text, err := p.try(c, p.Name(), number)
						if status != p.success || text != p.answer(strconv.Itoa(number)) || err != nil {
							t.Errorf("%s %d: status %s, %q, %v", p.Name(), number, status, text, err)
						}
					})
				}
			}
		}
		wg.Wait()
		spoken := make(map[string]int)
		for _, rec := range s.Records.Wait(t, count) {
			spoken[rec.Protocol]++
			if rec.Err != nil || rec.Status != 200 {
				t.Errorf("record %+v", rec)
			}
		}
		if len(spoken) != 6 || spoken["Http2"] != 40 || spoken["boltv2"] != 40 {
			t.Errorf("the records have %v", spoken)
		}
	})
}

// A hundred calls are under way on one connection of a caller, to slow and fast
// services, when a connection to one of the hosts breaks off. Those on it fail at
// once, in the protocol's own terms; nobody else notices.
func TestRPCBreak(t *testing.T) {
	lost := map[string]string{
		bolt.Name:   strconv.Itoa(bolt.NoProcessor),
		bolt.NameV2: strconv.Itoa(bolt.NoProcessor),
	}
	for _, p := range rpcs() {
		want, ok := lost[p.Name()]
		if !ok {
			continue
		}
		t.Run(p.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Network{}
				// at says which host a slow call has reached.
				var at sync.Map
				slow := func(name string) handler {
					echo := p.echo(t, time.Minute)
					return func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
						at.Store(req.Header.Get("number"), name)
						return echo(ctx, req)
					}
				}
				host := Protocol{Protocol: p.Protocol}
				n.Speak(t, "fast:1", host, p.echo(t, time.Millisecond))
				n.Speak(t, "slow:1", host, slow("slow:1"))
				n.Speak(t, "slow:2", host, slow("slow:2"))
				in := Listener("in", "main")
				in.FilterChains[0].Filters[0].Config["downstream_protocol"] = p.Name()
				toSlow := toService("slow", "slow")
				toSlow.Route.Timeout = time.Hour
				s := Start(t, n, &config.Snapshot{
					Listeners: []config.Listener{in},
					Routers:   []config.Router{Router("main", toService("fast", "fast"), toSlow)},
					Clusters:  []config.Cluster{Cluster("fast", "fast:1"), Cluster("slow", "slow:1", "slow:2")},
				}, speaking(t))
				c := p.caller(t, s.Dial(t, "in"))

				const calls, breaks, ends = 50, 10 * time.Second, time.Minute
				start := time.Now()
				var wg sync.WaitGroup
				var failed, fast atomic.Int64
				for i := range calls {
					wg.Go(func() {
						status, text, err := p.try(c, "slow", i)
						number := strconv.Itoa(i)
						host, _ := at.Load(number)
						took := time.Since(start)
						switch {
						case err != nil:
							t.Error(err)
						case host == "slow:1":
							failed.Add(1)
							if status != want || took != breaks {
								t.Errorf("a call on the connection that broke off has status %s after %v", status, took)
							}
						case status != p.success || text != number || took != ends:
							t.Errorf("a call to another host has status %s, %q after %v", status, text, took)
						}
					})
					wg.Go(func() {
						for k := 0; time.Since(start) < 20*time.Second; k++ {
							sent := time.Now()
							status, text, err := p.try(c, "fast", 1000*i+k)
							if status != p.success || text != strconv.Itoa(1000*i+k) || err != nil || time.Since(sent) != time.Millisecond {
								t.Errorf("a fast call: status %s, %q, %v after %v", status, text, err, time.Since(sent))
								return
							}
							fast.Add(1)
							time.Sleep(99 * time.Millisecond)
						}
					})
				}
				time.Sleep(breaks)
				n.Cut("slow:1")
				synctest.Wait()
				if n := failed.Load(); n != calls/2 {
					t.Errorf("%d calls have failed, want %d", n, calls/2)
				}
				wg.Wait()
				if n := fast.Load(); n != calls*200 {
					t.Errorf("%d fast calls, want %d", n, calls*200)
				}
				// The host is taken for no worse: new calls go there.
				for i := range 2 {
					if status, _, err := p.try(c, "slow", 900+i); status != p.success || err != nil {
						t.Errorf("afterwards: status %s, %v", status, err)
					}
				}
				if n.Dials("slow:1") != 2 || n.Dials("slow:2") != 1 || n.Dials("fast:1") != 1 || s.Status(t, "in").Accepted != 1 {
					t.Errorf("connections: %d to slow:1, %d to slow:2, %d to fast:1, %d from the caller", n.Dials("slow:1"), n.Dials("slow:2"), n.Dials("fast:1"), s.Status(t, "in").Accepted)
				}
				broken := 0
				for _, rec := range s.Records.All() {
					if rec.Err == nil {
						continue
					}
					broken++
					if e := stream.AsError(rec.Err); e.Kind != stream.Reset || e.Side != stream.Upstream || rec.Host != "slow:1" || rec.Attempts != 1 || rec.Status != 502 {
						t.Errorf("record %+v", rec)
					}
				}
				if broken != calls/2 {
					t.Errorf("%d records tell of an error", broken)
				}
			})
		})
	}
}
