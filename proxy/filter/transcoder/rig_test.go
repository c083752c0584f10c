package transcoder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter/fault"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// protocols are those that a rig speaks, by name.
func protocols() map[string]protocol.Protocol {
	all := map[string]protocol.Protocol{}
	for _, p := range []protocol.Protocol{
		http1.Protocol{}, http2.Protocol{}, bolt.New(bolt.V1(), frame.Options{}), bolt.New(bolt.V2(), frame.Options{}), frame.New(dubbo.Codec{}, frame.Options{}),
	} {
		all[p.Name()] = p
	}
	return all
}

// rig is a core that runs from a file, with hosts and callers.
type rig struct {
	*proxytest.Server
	t *testing.T
	n *proxytest.Network
}

// start runs a core from the part of a file that is about traffic.
func start(t *testing.T, n *proxytest.Network, text string) *rig {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	var f struct {
		Listeners []config.Listener `json:"listeners"`
		Routers   []config.Router   `json:"routers"`
		Clusters  []config.Cluster  `json:"clusters"`
	}
	decode.Defaults(&f)
	if warnings, err := decode.Into(&f, tree, ""); err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	all := protocols()
	table, err := protocol.NewTable(all[http1.Name], all[http2.Name], all[bolt.Name], all[bolt.NameV2], all["dubbo"])
	if err != nil {
		t.Fatal(err)
	}
	s := proxytest.Start(t, n, &config.Snapshot{Listeners: f.Listeners, Routers: f.Routers, Clusters: f.Clusters},
		proxytest.With(func(o *proxy.Options) { o.Protocols = table }),
		proxytest.WithFilters(transcoder.Spec(transcoder.Builtin()...), fault.Spec()))
	return &rig{s, t, n}
}

// file is a listener with a filter, and a cluster of one host. Callers and hosts
// may speak anything.
func file(filter string, more ...string) string {
	return fmt.Sprintf(`
listeners:
- name: in
  bind_port: false
  filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Auto, router_config_name: main}}]}]
  stream_filters: [{type: transcoder, config: %s}]
routers:
- router_config_name: main
  virtual_hosts:
  - domains: ["*"]
    routers: [%s{route: {cluster_name: c, timeout: 3s}}]
clusters: [{name: c, hosts: [{address: "host:1"}]}]
`, filter, strings.Join(more, ""))
}

// asked is what a host was asked.
type asked struct {
	*stream.Request
	body string
}

// field returns a header field.
func (a asked) field(name string) string { return a.Header.Get(name) }

// host is a host that remembers what it was asked.
type host struct {
	mu   sync.Mutex
	seen []asked
}

// last returns the newest of n requests.
func (h *host) last(t *testing.T, n int) asked {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) != n {
		t.Fatalf("the host was asked %d times, want %d", len(h.seen), n)
	}
	return h.seen[n-1]
}

// reply is what a host answers: status is its protocol's own for RPC.
type reply struct {
	status int
	body   string
	fields []string // name, value, …
	err    error
}

// speak puts a host at "host:1".
func speak(t *testing.T, n *proxytest.Network, name string, answer func(ctx context.Context, a asked) reply) *host {
	t.Helper()
	h := &host{}
	n.Speak(t, "host:1", proxytest.Protocol{Protocol: protocols()[name]}, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		var body []byte
		if req.Body != nil {
			var err error
			if body, err = io.ReadAll(req.Body); err != nil {
				return nil, err
			}
		}
		kept := new(stream.Request)
		kept.CopyFrom(req)
		a := asked{kept, string(body)}
		h.mu.Lock()
		h.seen = append(h.seen, a)
		h.mu.Unlock()
		r := answer(ctx, a)
		if r.err != nil {
			return nil, r.err
		}
		if req.OneWay {
			return stream.NoResponse, nil
		}
		resp := &stream.Response{Status: 200, ContentLength: int64(len(r.body)), Body: io.NopCloser(strings.NewReader(r.body))}
		if name == http1.Name || name == http2.Name {
			resp.Status = r.status
		} else {
			resp.Header.Add(frame.StatusField, fmt.Sprint(r.status))
		}
		for i := 0; i < len(r.fields); i += 2 {
			resp.Header.Add(r.fields[i], r.fields[i+1])
		}
		return resp, nil
	}))
	return h
}

// stuck waits until the caller has given up.
func stuck(ctx context.Context, _ asked) reply {
	<-ctx.Done()
	return reply{err: ctx.Err()}
}

// got is what a caller got.
type got struct {
	status int
	header http.Header
	body   string
}

// web sends a request over HTTP; fields are in the form "name: value".
func (r *rig) web(method, path, body string, fields ...string) got {
	r.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://test"+path, content)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range fields {
		if name, value, ok := strings.Cut(f, ": "); ok {
			req.Header.Add(name, value)
		}
	}
	resp, err := r.Client(r.t, "in").Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return got{resp.StatusCode, resp.Header, strings.TrimSpace(string(b))}
}

// call sends a request over an RPC protocol.
func (r *rig) call(name string, req *stream.Request, body string) (status, text string, header *stream.Header) {
	r.t.Helper()
	c := protocols()[name].NewClient(conn.New(r.Dial(r.t, "in")), protocol.ClientOptions{})
	r.t.Cleanup(func() { _ = c.Close() })
	if body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	resp, err := c.Handle(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp == stream.NoResponse {
		return "", "", nil
	}
	defer func() { _ = resp.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	header = new(stream.Header)
	header.CopyFrom(&resp.Header)
	return header.Get(frame.StatusField), string(b), header
}

var errNobody = errors.New("not to be asked")

// nobody is a host that is not to be asked.
func nobody(context.Context, asked) reply { return reply{err: errNobody} }

// answerWith is a host of RPC that always answers the same.
func answerWith(status, body string) stream.Handler {
	return stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		resp := &stream.Response{Status: 200, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
		resp.Header.Add(frame.StatusField, status)
		return resp, nil
	})
}

// h2 sends a request over HTTP/2.
func h2(t *testing.T, r *rig) (status int, text string) {
	t.Helper()
	c := protocols()[http2.Name].NewClient(conn.New(r.Dial(t, "in")), protocol.ClientOptions{})
	t.Cleanup(func() { _ = c.Close() })
	resp, err := c.Handle(t.Context(), &stream.Request{
		Method: "POST", Scheme: "http", Authority: "test", Path: "/x", ContentLength: 1, Body: io.NopCloser(strings.NewReader("1")),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status, string(b)
}
