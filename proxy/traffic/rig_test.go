package traffic

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dsl"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dubbostream"
	"github.com/ottavo-runtime/ottavo/proxy/filter/fault"
	"github.com/ottavo-runtime/ottavo/proxy/filter/faulttolerance"
	"github.com/ottavo-runtime/ottavo/proxy/filter/headertometadata"
	"github.com/ottavo-runtime/ottavo/proxy/filter/mirror"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
)

// file is the part of a configuration file that is about traffic. Its sections
// stand where they do in a file: routers and listeners in servers[0], clusters
// in cluster_manager, stream_filters in a listener.
type file struct {
	Listeners     []config.Listener  `json:"listeners"`
	Routers       []config.Router    `json:"routers"`
	StreamFilters []config.Extension `json:"stream_filters"`
	Clusters      []config.Cluster   `json:"clusters"`
}

// parse decodes and checks a configuration. Without a listener, it has one
// named "in" with the stream filters, for HTTP/1, which the router "main"
// serves; without a router, that sends everything to the first cluster.
// warnings are all there are of reading and checking; a mistake is in err.
func parse(text string, tables proxy.Options) (snapshot *config.Snapshot, warnings decode.Problems, err error) {
	var tree map[string]any
	if err = yaml.Unmarshal([]byte(text), &tree); err != nil {
		return nil, nil, err
	}
	var f file
	decode.Defaults(&f)
	if warnings, err = decode.Into(&f, tree, ""); err != nil {
		return nil, warnings, err
	}
	if len(f.Routers) == 0 && len(f.Clusters) > 0 {
		f.Routers = []config.Router{proxytest.Router("main", proxytest.To("/", f.Clusters[0].Name))}
	}
	if len(f.Listeners) == 0 {
		in := proxytest.Listener("in", "main")
		in.StreamFilters = f.StreamFilters
		f.Listeners = []config.Listener{in}
	}
	snapshot = &config.Snapshot{Listeners: f.Listeners, Routers: f.Routers, Clusters: f.Clusters}
	more, problems := snapshot.Validate(known(tables))
	return snapshot, append(warnings, more...), problems.Err()
}

func known(o proxy.Options) config.Known {
	known := proxy.Known(o.Protocols, o.Balancers, o.Filters, o.TLSExtensions)
	known.Choosers = o.Choosers.Names()
	return known
}

// builtin are the tables that ship, as far as they are about traffic.
func builtin(t testing.TB, rows ...lb.Row) proxy.Options {
	t.Helper()
	var o proxy.Options
	var err error
	o.Protocols, err = protocol.NewTable(http1.Protocol{}, http2.Protocol{})
	must(t, err)
	o.Balancers, err = lb.NewTable(append(lb.Builtin(), rows...)...)
	must(t, err)
	o.Filters, err = filter.NewTable(specs()...)
	must(t, err)
	o.Choosers, err = router.NewChoosers(router.BuiltinChoosers()...)
	must(t, err)
	o.TLSExtensions = []tlscontext.Extension{}
	return o
}

// specs are the built-in filters, and one for tests: "note" notes on each
// request, as variables, what its configuration says: header fields by name of
// the variable.
func specs() []filter.Spec {
	return []filter.Spec{
		{Name: dsl.Name, Make: dsl.Make},
		fault.Spec(), faulttolerance.Spec(), headertometadata.Spec(), mirror.Spec(), dubbostream.Spec(),
		{Name: "note", Place: filter.BeforeRoute, New: note},
	}
}

func note(_ filter.Env, cfg map[string]any) (stream.Filter, error) {
	return func(next stream.Handler) stream.Handler {
		return stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			for name, field := range cfg {
				if value, ok := req.Header.Lookup(field.(string)); ok {
					req.Vars.Set(name, value)
				}
			}
			return next.Handle(ctx, req)
		})
	}, nil
}

// rig is a core that runs from a configuration, with hosts and a caller.
type rig struct {
	*proxytest.Server
	t      *testing.T
	tables proxy.Options
	hosts  map[string]*host
	spoken []string // addresses of hosts by speak
	client *http.Client
}

// start runs a core from a configuration that users could have written, which
// must give these warnings and no others. Its hosts are on a network in memory.
func start(t *testing.T, text string, warned ...string) *rig {
	t.Helper()
	return begin(t, text, builtin(t), warned...)
}

// begin is start with other tables.
func begin(t *testing.T, text string, tables proxy.Options, warned ...string) *rig {
	t.Helper()
	snapshot, warnings, err := parse(text, tables)
	must(t, err)
	wantWarnings(t, warnings, warned...)
	r := &rig{t: t, tables: tables, hosts: make(map[string]*host)}
	r.Server = proxytest.Start(t, &proxytest.Network{}, snapshot, proxytest.WithFilters(specs()...), proxytest.With(func(o *proxy.Options) {
		o.Protocols, o.Balancers, o.Choosers, o.Known = tables.Protocols, tables.Balancers, tables.Choosers, known(tables)
	}))
	r.client = r.caller("in")
	return r
}

// caller returns an HTTP client of a listener that follows no redirect.
func (r *rig) caller(listener string) *http.Client {
	c := r.Client(r.t, listener)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// apply puts another configuration in force.
func (r *rig) apply(text string) {
	r.t.Helper()
	snapshot, warnings, err := parse(text, r.tables)
	must(r.t, err)
	wantWarnings(r.t, warnings)
	r.MustApply(r.t, snapshot)
}

// answer is what a caller got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
	took   time.Duration
}

// String is the status and the body.
func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.body))
}

// get asks for a URL, "http://test" being understood, with header fields in
// the form "name: value".
func (r *rig) get(url string, fields ...string) answer {
	return ask(r.client, "GET", url, "", fields...)
}

// ask sends a request and reads the answer.
func ask(client *http.Client, method, url, body string, fields ...string) (a answer) {
	if strings.HasPrefix(url, "/") {
		url = "http://test" + url
	}
	begin := time.Now()
	defer func() { a.took = time.Since(begin) }()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, content) //nolint:noctx // the client has a time limit
	if err != nil {
		return answer{err: err}
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b), err: err}
}

// want asks and compares the answer in short, "200 a".
func (r *rig) want(want, url string, fields ...string) answer {
	r.t.Helper()
	a := r.get(url, fields...)
	if a.String() != want {
		r.t.Errorf("GET %s %q: %s, want %s", url, fields, a, want)
	}
	return a
}

// shares sends n requests and counts the answers in short.
func (r *rig) shares(n int, url string, fields ...string) map[string]int {
	got := make(map[string]int)
	for range n {
		got[r.get(url, fields...).String()]++
	}
	return got
}

// host is a web server on the network of a rig.
type host struct {
	address string
	kill    func()

	mu     sync.Mutex
	seen   []seen
	answer http.HandlerFunc
}

// seen is a request as a host saw it.
type seen struct {
	method, host, uri, body string
	header                  http.Header
	at                      time.Time
}

// String is method, host and URI.
func (s seen) String() string { return s.method + " " + s.host + " " + s.uri }

// host puts a host on the network. It answers with its name, unless told otherwise.
func (r *rig) host(name, address string) *host {
	r.t.Helper()
	h := &host{address: address}
	h.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
	h.kill = r.Network.HTTP(r.t, address, h.serve)
	r.hosts[name] = h
	return h
}

// listed puts hosts on the network: "a 10.0.0.1:80", one per line or behind a comma.
func (r *rig) listed(list string) {
	r.t.Helper()
	for line := range strings.SplitSeq(list, ",") {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		r.host(name, address)
	}
}

// speak puts a host on the network that speaks a protocol, by its label in
// proxytest.Protocols, and answers with what f makes.
func (r *rig) speak(address, label string, f func(proxytest.Protocol, *stream.Request) *stream.Response) {
	r.t.Helper()
	for _, p := range proxytest.Protocols() {
		if p.Label == label {
			r.Network.Speak(r.t, address, p, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
				return f(p, req), nil
			}))
			r.spoken = append(r.spoken, address)
			r.t.Cleanup(func() { // all hosts go before the core does
				for _, a := range r.spoken {
					r.Network.Cut(a)
				}
			})
		}
	}
}

func (h *host) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	h.mu.Lock()
	h.seen = append(h.seen, seen{req.Method, req.Host, req.RequestURI, string(body), req.Header.Clone(), time.Now()})
	f := h.answer
	h.mu.Unlock()
	f(w, req)
}

func (h *host) answers(f http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// status has the host answer with one status, and the status as text.
func (h *host) status(status int) {
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, http.StatusText(status))
	})
}

// slow has the host answer after a while. It does not wait for callers that have gone.
func (h *host) slow(d time.Duration) {
	h.answers(func(w http.ResponseWriter, req *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			_, _ = io.WriteString(w, "slow")
		case <-req.Context().Done():
		}
	})
}

// requests are those that the host has seen.
func (h *host) requests() []seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

func (h *host) hits() int { return len(h.requests()) }

// last is the newest request that the host has seen.
func (h *host) last(t testing.TB) seen {
	t.Helper()
	list := h.requests()
	if len(list) == 0 {
		t.Fatalf("host %s has seen no request", h.address)
	}
	return list[len(list)-1]
}

// wantWarnings demands these warnings, given by a part of their text, in order.
func wantWarnings(t testing.TB, warnings decode.Problems, want ...string) {
	t.Helper()
	ok := len(warnings) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(warnings[i].String(), want[i])
	}
	if !ok {
		t.Fatalf("warnings %v, want %q", warnings, want)
	}
}

// near reports whether a count is within percent of what is expected.
func near(got, want int, percent float64) bool {
	d := float64(got - want)
	return max(d, -d) <= float64(want)*percent/100
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
