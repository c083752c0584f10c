package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// listener is a net.Listener that is given its connections.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return conn.PipeAddr("memory") }

// httpServer has a server of package net/http, of both versions, answer the
// connections of w. It ends with stop.
func (w *network) httpServer(h http.HandlerFunc) (stop func()) {
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	w.serve = func(c net.Conn) {
		select {
		case l.conns <- c:
		case <-l.done:
			_ = c.Close()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	return func() { _ = srv.Close(); wg.Wait() }
}

// outcome runs one check of a host that passed one before, and returns the
// reason for which it goes out; "" if it does not. serve answers from then on.
func outcome(t *testing.T, w *network, cfg config.HealthCheck, h *upstream.Host) string {
	t.Helper()
	var log strings.Builder
	r := w.run(t, cfg, []*upstream.Host{h}, func(o *health.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	time.Sleep(10 * time.Second)
	r.stop()
	if len(w.times(h.Address)) != 1 {
		t.Errorf("%d checks", len(w.times(h.Address)))
	}
	if !out(h) {
		return ""
	}
	_, reason, ok := strings.Cut(log.String(), "error=")
	if !ok {
		t.Errorf("no reason in %q", &log)
	}
	return reason
}

func TestI9HTTP(t *testing.T) {
	for _, version := range []string{"Http1", "Http2"} {
		for name, c := range map[string]struct {
			cfg    config.HTTPCheck
			host   config.Host
			want   string // the request as the host sees it; "" is not looked at
			status int
			reason string // why the host goes out; "" it does not
		}{
			"the defaults":       {config.HTTPCheck{}, config.Host{}, "GET / 10.0.0.1:80 ottavo-health-check", 200, ""},
			"named host":         {config.HTTPCheck{}, config.Host{Hostname: "one.example"}, "GET / one.example ottavo-health-check", 200, ""},
			"domain":             {config.HTTPCheck{Domain: "health.example:81"}, config.Host{Hostname: "one.example"}, "GET / health.example:81 ottavo-health-check", 200, ""},
			"path and query":     {config.HTTPCheck{Path: "/a%20b/c?x=1&y=?"}, config.Host{}, "GET /a%20b/c?x=1&y=? 10.0.0.1:80 ottavo-health-check", 200, ""},
			"empty query":        {config.HTTPCheck{Path: "/a?"}, config.Host{}, "GET /a? 10.0.0.1:80 ottavo-health-check", 200, ""},
			"HEAD":               {config.HTTPCheck{Method: "HEAD"}, config.Host{}, "HEAD / 10.0.0.1:80 ottavo-health-check", 200, ""},
			"POST":               {config.HTTPCheck{Method: "POST"}, config.Host{}, "POST / 10.0.0.1:80 ottavo-health-check", 200, ""},
			"own method":         {config.HTTPCheck{Method: "PING"}, config.Host{}, "PING / 10.0.0.1:80 ottavo-health-check", 200, ""},
			"201 is not 200":     {config.HTTPCheck{}, config.Host{}, "", 201, "status 201"},
			"204 is not 200":     {config.HTTPCheck{}, config.Host{}, "", 204, "status 204"},
			"503":                {config.HTTPCheck{}, config.Host{}, "", 503, "status 503"},
			"first of a range":   {config.HTTPCheck{Codes: []config.CodeRange{{Start: 500, End: 500}, {Start: 200, End: 299}}}, config.Host{}, "", 200, ""},
			"last of a range":    {config.HTTPCheck{Codes: []config.CodeRange{{Start: 500, End: 500}, {Start: 200, End: 299}}}, config.Host{}, "", 299, ""},
			"one of several":     {config.HTTPCheck{Codes: []config.CodeRange{{Start: 500, End: 500}, {Start: 200, End: 299}}}, config.Host{}, "", 500, ""},
			"beyond the range":   {config.HTTPCheck{Codes: []config.CodeRange{{Start: 500, End: 500}, {Start: 200, End: 299}}}, config.Host{}, "", 300, "status 300"},
			"200 is not in them": {config.HTTPCheck{Codes: []config.CodeRange{{Start: 204, End: 204}}}, config.Host{}, "", 200, "status 200"},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked string
					w := newNetwork(nil)
					stop := w.httpServer(func(rw http.ResponseWriter, r *http.Request) {
						asked = fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Host, r.UserAgent())
						if want := "HTTP/" + version[4:]; !strings.HasPrefix(r.Proto, want) {
							t.Errorf("spoken is %s", r.Proto)
						}
						rw.WriteHeader(c.status)
					})
					defer stop()
					c.host.Address = "10.0.0.1:80"
					cfg := config.HealthCheck{Protocol: version, Check: config.CheckConfig{HTTP: &c.cfg}}
					reason := outcome(t, w, cfg, upstream.NewHost(c.host, nil))
					if want := fmt.Sprintf("%q", version+" check: "+c.reason); (reason == "") != (c.reason == "") || reason != "" && strings.TrimSpace(reason) != want {
						t.Errorf("out because of %s, want %s", reason, want)
					}
					if c.want != "" && asked != c.want {
						t.Errorf("asked %q, want %q", asked, c.want)
					}
				})
			})
		}
	}
}

// endless is a body without an end.
func endless(rw http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := rw.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

// Whatever a host does, the check is over within its timeout and says why.
func TestI9BadHosts(t *testing.T) {
	write := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, text)
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}
	repeat := func(first, more string) func(net.Conn) {
		return func(c net.Conn) {
			_, err := io.WriteString(c, first)
			for err == nil {
				_, err = io.WriteString(c, more)
				time.Sleep(time.Millisecond)
			}
			_ = c.Close()
		}
	}
	silent := func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	for name, c := range map[string]struct {
		protocols string
		serve     func(net.Conn)
		want      string
	}{
		"hangs up":            {"Http1 Http2 GRPC", func(c net.Conn) { _ = c.Close() }, ""},
		"says nothing":        {"Http1", silent, "nothing good within 1s"},
		"says nothing at all": {"Http2 GRPC", silent, "accepted the connection and said nothing"},
		"garbage":             {"Http1 Http2 GRPC", write("\x00\x01\x02\x03 garbage, and more of it\r\n\r\n"), ""},
		"half an answer":      {"Http1", write("HTTP/1.1 200 OK\r\nContent-"), "nothing good within 1s"},
		"drop by drop":        {"Http1", repeat("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "nothing good within 1s"},
		"an endless head":     {"Http1", repeat("HTTP/1.1 200 OK\r\nX: ", strings.Repeat("y", 1<<16)), ""},
		"interim answers":     {"Http1", repeat("", "HTTP/1.1 103 Early Hints\r\n\r\n"), ""},
		"HTTP/1 to HTTP/2":    {"Http2 GRPC", write("HTTP/1.1 400 Bad Request\r\n\r\n"), ""},
		"settings, no answer": {"Http2 GRPC", write("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), "nothing good within 1s"},
	} {
		for _, protocol := range strings.Fields(c.protocols) {
			t.Run(protocol+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newNetwork(nil)
					w.serve = c.serve
					h := newHost("10.0.0.1:80")
					reason := outcome(t, w, config.HealthCheck{Protocol: protocol}, h)
					if !strings.Contains(reason, protocol+" check: ") || !strings.Contains(reason, c.want) {
						t.Errorf("out because of %q, want %q", reason, c.want)
					}
				})
			})
		}
	}
}

// The head is enough: no body holds up a check, and none is left behind.
func TestI9EndlessBody(t *testing.T) {
	for _, version := range []string{"Http1", "Http2"} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(nil)
				stop := w.httpServer(endless)
				defer stop()
				if reason := outcome(t, w, config.HealthCheck{Protocol: version}, newHost("10.0.0.1:80")); reason != "" {
					t.Errorf("out because of %s", reason)
				}
			})
		})
	}
}

// The timeout of the request takes the place of the general one.
func TestI9HTTPTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(nil)
		stop := w.httpServer(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Second) })
		defer stop()
		cfg := config.HealthCheck{Protocol: "Http1", Check: config.CheckConfig{HTTP: &config.HTTPCheck{Timeout: 3 * time.Second}}}
		if reason := outcome(t, w, cfg, newHost("10.0.0.1:80")); reason != "" {
			t.Errorf("out because of %s", reason)
		}
		cfg.Check.HTTP.Timeout = 1500 * time.Millisecond
		if reason := outcome(t, w, cfg, newHost("10.0.0.2:80")); !strings.Contains(reason, "nothing good within 1.5s") {
			t.Errorf("out because of %s", reason)
		}
	})
}

func TestI9GRPCAnswers(t *testing.T) {
	// answer is one of a call: a message, and trailers (or fields of the head).
	type answer struct {
		contentType, message, status, text string
		head                               bool // the status is in the head
		code                               int
	}
	const serving = "\x00\x00\x00\x00\x02\x08\x01"
	for name, c := range map[string]struct {
		answer
		want string // why the host goes out
	}{
		"SERVING":            {answer{message: serving}, ""},
		"and more fields":    {answer{message: "\x00\x00\x00\x00\x0a\x08\x01\x12\x03abc\x18\xff\x01"}, ""},
		"the last one holds": {answer{message: "\x00\x00\x00\x00\x04\x08\x02\x08\x01"}, ""},
		"with a subtype":     {answer{message: serving, contentType: "application/grpc+proto"}, ""},
		"NOT_SERVING":        {answer{message: "\x00\x00\x00\x00\x02\x08\x02"}, "the host says NOT_SERVING"},
		"UNKNOWN":            {answer{message: "\x00\x00\x00\x00\x02\x08\x00"}, "the host says UNKNOWN"},
		"SERVICE_UNKNOWN":    {answer{message: "\x00\x00\x00\x00\x02\x08\x03"}, "the host says SERVICE_UNKNOWN"},
		"another number":     {answer{message: "\x00\x00\x00\x00\x02\x08\x63"}, "the host says 99, which means nothing"},
		"empty message":      {answer{message: "\x00\x00\x00\x00\x00"}, "the host says UNKNOWN"},
		"no message":         {answer{}, "malformed"},
		"compressed":         {answer{message: "\x01\x00\x00\x00\x02\x08\x01"}, "malformed"},
		"two messages":       {answer{message: serving + serving}, "malformed"},
		"cut off":            {answer{message: "\x00\x00\x00\x00\x02\x08"}, "malformed"},
		"a large length":     {answer{message: "\x00\xff\xff\xff\xff\x08\x01"}, "malformed"},
		"not protobuf":       {answer{message: "\x00\x00\x00\x00\x02\xff\xff"}, "malformed"},
		"too long":           {answer{message: serving + strings.Repeat("x", 5000)}, "longer than 4096 bytes"},
		"no such service":    {answer{status: "12", head: true}, "has no grpc.health.v1.Health service"},
		"no such name":       {answer{status: "5", text: "unknown service", head: true}, "does not know the service"},
		"an error":           {answer{message: serving, status: "14", text: "warming up"}, `the host answers Unavailable: \"warming up\"`},
		"no status":          {answer{message: serving, status: "-"}, "no status of gRPC"},
		"odd status":         {answer{message: serving, status: "one"}, "no status of gRPC"},
		"not gRPC":           {answer{contentType: "text/html"}, `the answer is not gRPC but \"text/html\"`},
		"404":                {answer{code: 404}, "status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(nil)
				stop := w.httpServer(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if got := fmt.Sprintln(r.Method, r.URL.Path, r.Header["Te"], r.Header["Content-Type"], r.Header["Grpc-Timeout"], r.ContentLength, body); got != "POST /grpc.health.v1.Health/Check [trailers] [application/grpc] [1000m] 10 [0 0 0 0 5 10 3 112 97 121]\n" {
						t.Errorf("asked %s", got)
					}
					if c.contentType == "" {
						c.contentType = "application/grpc"
					}
					if c.status == "" {
						c.status = "0"
					}
					prefix := http.TrailerPrefix
					if c.head {
						prefix = ""
					}
					rw.Header().Set("content-type", c.contentType)
					if c.code != 0 {
						rw.WriteHeader(c.code)
					}
					if !c.head {
						_, _ = io.WriteString(rw, c.message)
						rw.(http.Flusher).Flush()
					}
					if c.status != "-" {
						rw.Header().Set(prefix+"grpc-status", c.status)
						rw.Header().Set(prefix+"grpc-message", c.text)
					}
				})
				defer stop()
				reason := outcome(t, w, config.HealthCheck{Protocol: "GRPC", ServiceName: "pay"}, newHost("10.0.0.1:80"))
				if (reason == "") != (c.want == "") || !strings.Contains(reason, c.want) {
					t.Errorf("out because of %q, want %q", reason, c.want)
				}
			})
		})
	}
}

// A protocol that the table does not have cannot be spoken.
func TestI9ProtocolNotBuiltIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(_ context.Context, _ string, _ int) error { return errors.New("dialed") })
		h := newHost("10.0.0.1:80")
		var log strings.Builder
		r := w.run(t, config.HealthCheck{Protocol: "GRPC"}, []*upstream.Host{h}, func(o *health.Options) {
			o.Protocols = nil
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		time.Sleep(2 * time.Second)
		r.stop()
		if !out(h) || !strings.Contains(log.String(), "the protocol Http2 is not built in") {
			t.Errorf("out: %v, log %s", out(h), &log)
		}
	})
}
