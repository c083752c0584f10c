package proxy_test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter/fault"
	"github.com/ottavo-runtime/ottavo/proxy/filter/faulttolerance"
	"github.com/ottavo-runtime/ottavo/proxy/filter/headertometadata"
	"github.com/ottavo-runtime/ottavo/proxy/filter/mirror"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into the scripts of testdata, for review")

// TestScripts runs the scripts in testdata: a script is a sequence of commands,
// each followed by a line of dashes and what is expected to come of it, up to
// an empty line. Time is not real: it passes where something waits for it. With
// -rewrite the scripts are written anew; the difference is to be reviewed.
//
// Commands, with what may follow them in the lines below:
//
//	config            routers, clusters and stream_filters in YAML; the listener
//	                  is made. A later one is applied to the running core.
//	get, post PATH    sends a request; "Name: value" lines are header fields,
//	                  what is behind an empty "body:" line the body.
//	repeat N get PATH sends N, one after another; tells how many had which end.
//	begin NAME get …  sends one and does not wait; "await NAME" does.
//	host A B …        puts hosts on the network that answer 200; hosts named in
//	                  a configuration are there from the beginning.
//	answer A N [in D] from now on A answers with status N, after D.
//	answer A reset    … or breaks the connection off.
//	aside A           what A sees is told last: it is asked at the same time as others.
//	down A, up A      takes a host off the network, which breaks its
//	                  connections off, or puts it on again.
//	tick D            lets time pass.
//	hosts C           tells how the hosts of a cluster are.
//	copies            tells what became of the copies of requests.
//	limits C          tells how a cluster stands with its circuit breakers.
//	set C A B …       gives a cluster other hosts (Server.SetHosts).
//
// The trace of a request has a line for each connection that was opened and
// each request that a host saw, then the record: route, cluster, host, and how
// it ended.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, network: &Network{}, hosts: make(map[string]*scriptHost), begun: make(map[string]chan end), told: make(map[int]bool)}
				for _, step := range parseScript(t, file, string(text)) {
					step.write(&out, s.run(step))
				}
			})
			switch {
			case out.String() == string(text):
			case *rewrite:
				if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s: other things happened (look at them with -rewrite and git diff):\n%s", file, firstDifference(string(text), out.String()))
			}
		})
	}
}

// firstDifference shows where two texts part.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range g {
		if i >= len(w) || w[i] != g[i] {
			return fmt.Sprintf("line %d:\nwant %s\ngot  %s", i+1, strings.Join(w[min(i, len(w)):min(i+5, len(w))], "\n     "), strings.Join(g[i:min(i+5, len(g))], "\n     "))
		}
	}
	return fmt.Sprintf("line %d: want more", len(g)+1)
}

// step is one command of a script.
type step struct {
	comment string // what stands before it
	line    string
	body    []string
	want    string
}

func parseScript(t *testing.T, file, text string) (steps []step) {
	var st step
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if st.line == "" {
			if line == "" || strings.HasPrefix(line, "#") {
				st.comment += line + "\n"
			} else {
				st.line = line
			}
			continue
		}
		if line != "----" {
			st.body = append(st.body, line)
			continue
		}
		for i++; i < len(lines) && lines[i] != ""; i++ {
			st.want += lines[i] + "\n"
		}
		steps, st = append(steps, st), step{}
	}
	if st.line != "" {
		t.Fatalf("%s: the last command, %q, has no line of dashes behind it", file, st.line)
	}
	return steps
}

func (st step) write(w *strings.Builder, got string) {
	w.WriteString(st.comment + st.line + "\n")
	for _, line := range st.body {
		w.WriteString(line + "\n")
	}
	w.WriteString("----\n" + got + "\n")
}

// script is one that runs.
type script struct {
	t       *testing.T
	network *Network
	server  *Server
	client  *http.Client
	begun   map[string]chan end

	mu    sync.Mutex
	hosts map[string]*scriptHost
	trace []string
	aside []string
	// told holds the records that were told of.
	told map[int]bool
}

// scriptHost is how a host answers.
type scriptHost struct {
	status int
	delay  time.Duration
	reset  bool
	down   atomic.Bool
	aside  bool
}

func (s *script) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

// taken returns the trace so far, and begins a new one.
func (s *script) taken() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(append(s.trace, s.aside...), "\n")
	s.trace, s.aside = nil, nil
	if text != "" {
		text += "\n"
	}
	return text
}

func (s *script) run(st step) string {
	words := strings.Fields(st.line)
	switch verb, args := words[0], words[1:]; verb {
	case "config":
		return s.config(strings.Join(st.body, "\n"))
	case "get", "post":
		s.request(verb, args[0], st.body)
	case "repeat":
		n, err := strconv.Atoi(args[0])
		s.must(err)
		return s.repeat(n, args[1], args[2], st.body)
	case "begin":
		done := make(chan end, 1)
		s.begun[args[0]] = done
		go func() { done <- s.send(args[1], args[2], st.body) }()
		synctest.Wait()
	case "await":
		end := <-s.begun[args[0]]
		s.note("%s", end.line+s.record(end.path))
	case "host":
		for _, address := range args {
			s.host(address)
		}
	case "answer":
		s.answer(args)
	case "aside":
		s.host(args[0]).aside = true
	case "down", "up":
		for _, address := range args {
			s.host(address).down.Store(verb == "down")
			if verb == "down" {
				s.network.Cut(address)
			}
		}
	case "tick":
		d, err := time.ParseDuration(args[0])
		s.must(err)
		time.Sleep(d)
	case "hosts":
		return s.state(args[0])
	case "copies":
		synctest.Wait()
		n := s.server.Copies()
		return fmt.Sprintf("%d sent, %d failed, %d dropped\n", n.Sent.Load(), n.Failed.Load(), n.Dropped.Load())
	case "limits":
		for _, c := range s.server.Clusters() {
			if c.Name == args[0] {
				return fmt.Sprintf("%+v\n", c.Limits)
			}
		}
	case "set":
		var list []config.Host
		for _, address := range args[1:] {
			s.host(address)
			list = append(list, config.Host{Address: address})
		}
		s.must(s.server.SetHosts(args[0], list))
	default:
		s.t.Fatalf("there is no command %q", st.line)
	}
	return s.taken()
}

func (s *script) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// config starts the core, or gives it a new configuration.
func (s *script) config(text string) string {
	var tree map[string]any
	s.must(yaml.Unmarshal([]byte(text), &tree))
	var shape struct {
		Routers       []config.Router    `json:"routers"`
		Clusters      []config.Cluster   `json:"clusters"`
		StreamFilters []config.Extension `json:"stream_filters"`
	}
	warnings, err := decode.Into(&shape, tree, "")
	s.must(err)
	s.must(warnings.Err())
	in := Listener("in", cmp.Or(shape.Routers[0].Name, "main"))
	in.StreamFilters = shape.StreamFilters
	snapshot := &config.Snapshot{Listeners: []config.Listener{in}, Routers: shape.Routers, Clusters: shape.Clusters}
	for _, c := range shape.Clusters {
		for _, h := range c.Hosts {
			s.host(h.Address)
		}
	}
	if s.server == nil {
		s.server = Start(s.t, s.network, snapshot, WithFilters(fault.Spec(), faulttolerance.Spec(), headertometadata.Spec(), mirror.Spec()),
			With(func(o *proxy.Options) { o.Dial = s.network.Dial }))
		s.client = s.server.Client(s.t, "in")
		s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return s.taken()
	}
	s.server.MustApply(s.t, snapshot)
	return s.taken()
}

// host returns the host with that address, putting it on the network if need be.
func (s *script) host(address string) *scriptHost {
	s.mu.Lock()
	h := s.hosts[address]
	s.mu.Unlock()
	if h != nil {
		return h
	}
	h = &scriptHost{status: 200}
	s.mu.Lock()
	s.hosts[address] = h
	s.mu.Unlock()
	s.network.HTTP(s.t, address, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := fmt.Sprintf("%s: %s %s host %s", address, r.Method, r.URL.RequestURI(), r.Host)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if name != "User-Agent" && name != "Content-Length" && name != "Accept-Encoding" {
				line += fmt.Sprintf(" %s=%q", name, strings.Join(r.Header[name], "|"))
			}
		}
		if len(body) > 0 {
			line += fmt.Sprintf(" body %q", body)
		}
		if h.aside {
			s.mu.Lock()
			s.aside = append(s.aside, line)
			s.mu.Unlock()
		} else {
			s.note("%s", line)
		}
		s.mu.Lock()
		status, after, reset := h.status, h.delay, h.reset
		s.mu.Unlock()
		delay := time.NewTimer(after)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-r.Context().Done():
			return
		}
		if reset {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, address)
	})
	s.network.Gate(address, func() bool { return !h.down.Load() })
	return h
}

func (s *script) answer(args []string) {
	h := s.host(args[0])
	status, delay, reset := 200, time.Duration(0), args[1] == "reset"
	var err error
	if !reset {
		status, err = strconv.Atoi(args[1])
		s.must(err)
	}
	if len(args) == 4 && args[2] == "in" {
		delay, err = time.ParseDuration(args[3])
		s.must(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.status, h.delay, h.reset = status, delay, reset
}

// request sends a request and notes its record and what the caller got.
func (s *script) request(verb, path string, lines []string) {
	end := s.send(verb, path, lines)
	s.note("%s", end.line+s.record(end.path))
}

// end is what a caller got, in a line, and the path it had asked for.
type end struct{ line, path string }

// send sends a request.
func (s *script) send(verb, path string, lines []string) end {
	asked, _, _ := strings.Cut(path, "?")
	var body io.Reader
	header := make(http.Header)
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		if name == "body" {
			body = bytes.NewReader([]byte(strings.Join(lines[i+1:], "\n")))
			break
		}
		header.Add(name, strings.TrimSpace(value))
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), strings.ToUpper(verb), "http://pay"+path, body)
	s.must(err)
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	start := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return end{"the caller's connection: " + err.Error(), asked}
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	line := fmt.Sprintf("-> %d %q", resp.StatusCode, got)
	if err != nil {
		line += " " + err.Error()
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if name != "Date" && name != "Content-Length" && name != "Content-Type" {
			line += fmt.Sprintf(" %s=%q", name, strings.Join(resp.Header[name], "|"))
		}
	}
	if d := time.Since(start); d > 0 {
		line += " after " + d.String()
	}
	return end{line, asked}
}

// record tells what the newest record of a path says that was not told of yet.
func (s *script) record(path string) string {
	synctest.Wait()
	records := s.server.Records.All()
	for i, r := range slices.Backward(records) {
		if sent := cmp.Or(r.Info.Path, r.Path); sent != path || s.told[i] {
			continue
		}
		s.told[i] = true
		line := fmt.Sprintf("; %s/%s", cmp.Or(r.VirtualHost, "-"), cmp.Or(r.Route, "-"))
		if r.Cluster != "" {
			line += fmt.Sprintf(" to %s, host %s, attempts %d", r.Cluster, cmp.Or(r.Host, "-"), r.Attempts)
		}
		return line
	}
	return "; no record"
}

// repeat sends n requests and tells how often each end came.
func (s *script) repeat(n int, verb, path string, lines []string) string {
	ends := make(map[string]int)
	for range n {
		end := s.send(verb, path, lines)
		ends[end.line+s.record(end.path)]++
	}
	s.taken()
	var b strings.Builder
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		fmt.Fprintf(&b, "%d times %s\n", ends[end], end)
	}
	return b.String()
}

// state tells how the hosts of a cluster are.
func (s *script) state(name string) string {
	var b strings.Builder
	for _, c := range s.server.Clusters() {
		if c.Name != name {
			continue
		}
		for _, h := range c.Hosts {
			fmt.Fprintf(&b, "%s %s, %d active, %d connections\n", h.Address, h.Health, h.Active, h.Connections)
		}
	}
	return b.String()
}
