package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func open(t testing.TB, s *Server, opts proxy.ChannelOptions) *proxy.Channel {
	t.Helper()
	ch, err := s.Channel(opts)
	must(t, err)
	t.Cleanup(ch.Close)
	return ch
}

// send sends a GET over a channel and returns status and body.
func send(t testing.TB, h stream.Handler, ctx context.Context, path string) (int, string, error) {
	t.Helper()
	req := &stream.Request{Method: "GET", Path: path, Authority: "pay", Deadline: time.Now().Add(30 * time.Second)}
	resp, err := h.Handle(ctx, req)
	if err != nil {
		if _, ok := errors.AsType[*stream.Error](err); !ok {
			t.Errorf("error is a %T: %v", err, err)
		}
		return 0, "", err
	}
	status := resp.Status
	b, err := io.ReadAll(resp.Body)
	_ = resp.Close()
	return status, string(b), err
}

func wantAnswer(t testing.TB, h stream.Handler, path, want string) {
	t.Helper()
	status, body, err := send(t, h, t.Context(), path)
	if err != nil || status != 200 || body != want {
		t.Errorf("%s: %d %q, %v, want %q", path, status, body, err, want)
	}
}

func TestChannel(t *testing.T) {
	n := &Network{}
	n.HTTP(t, "h:1", Echo("h"))
	s := Start(t, n, &config.Snapshot{
		Listeners: []config.Listener{Listener("egress", "main"), Listener("127.0.0.1:2045", "other")},
		Routers:   []config.Router{Router("main", To("/", "c")), Router("other", Answer("/", 200, "other"))},
		Clusters:  []config.Cluster{Cluster("c", "h:1")},
	})
	ch := open(t, s, proxy.ChannelOptions{Listener: "egress", Protocol: "http1"})
	for range 3 {
		wantAnswer(t, ch, "/x", "h: GET /x ")
	}
	if st := s.Status(t, "egress"); st.Accepted != 1 {
		t.Errorf("%d connections for requests one after the other", st.Accepted)
	}
	if r := s.Records.Wait(t, 3)[2]; r.Downstream != "channel" || r.Listener != "egress" || r.Host != "h:1" {
		t.Errorf("record %+v", r)
	}
	// A listener whose name is an address is reached in memory.
	wantAnswer(t, open(t, s, proxy.ChannelOptions{Listener: "127.0.0.1:2045", Protocol: "Http1"}), "/", "other")
	// An address that is nobody's name is dialed.
	wantAnswer(t, open(t, s, proxy.ChannelOptions{Listener: "h:1", Protocol: "Http1"}), "/y", "h: GET /y ")
	if n.Dials("h:1") != 2 {
		t.Errorf("%d dials", n.Dials("h:1"))
	}

	for _, c := range []struct {
		opts proxy.ChannelOptions
		want string
	}{
		{proxy.ChannelOptions{Listener: "egres", Protocol: "Http1"}, `there is no listener "egres"; did you mean "egress"?`},
		{proxy.ChannelOptions{Listener: "zzz", Protocol: "Http1"}, `there is no listener "zzz" (known: 127.0.0.1:2045, egress)`},
		{proxy.ChannelOptions{Listener: "egress", Protocol: "telex"}, `unknown protocol "telex" (known: Http1, Http2)`},
	} {
		if _, err := s.Channel(c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.opts, err, c.want)
		}
	}
	ch.Close()
	ch.Close()
	if _, _, err := send(t, ch, t.Context(), "/"); stream.AsError(err).Kind != stream.Stopping {
		t.Errorf("after Close: %v", err)
	}
}

func TestChannelOverTCP(t *testing.T) {
	s := Start(t, nil, answering(Bound("a", "ra", "127.0.0.1:0")))
	wantAnswer(t, open(t, s, proxy.ChannelOptions{Listener: s.Addr(t, "a"), Protocol: "Http1"}), "/", "ra")
	down := open(t, s, proxy.ChannelOptions{Listener: testserver.Addr(t), Protocol: "Http1"})
	_, _, err := send(t, down, t.Context(), "/")
	if e := stream.AsError(err); e.Kind != stream.Connect || !e.Retry {
		t.Errorf("%v", err)
	}
}

func TestChannelSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "h:1", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, "ok")
		})
		l := Listener("full", "main")
		l.MaxConnections = 1
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("egress", "main"), l},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{Cluster("c", "h:1")},
		})
		ch := open(t, s, proxy.ChannelOptions{Listener: "egress", Protocol: "Http1", Size: 2})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { wantAnswer(t, ch, "/", "ok") })
		}
		wg.Wait()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("6 requests of a second, two at a time, took %v", d)
		}
		// A turn that does not come in time.
		for range 2 {
			wg.Go(func() { wantAnswer(t, ch, "/", "ok") })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := send(t, ch, ctx, "/"); stream.AsError(err).Kind != stream.Timeout {
			t.Errorf("%v", err)
		}
		wg.Wait()
		// The listener's own limit is an overload, not a connection problem.
		unlimited := open(t, s, proxy.ChannelOptions{Listener: "full", Protocol: "Http1"})
		wg.Go(func() { wantAnswer(t, unlimited, "/", "ok") })
		synctest.Wait()
		if _, _, err := send(t, unlimited, t.Context(), "/"); stream.AsError(err).Kind != stream.Overload || !stream.AsError(err).Retry {
			t.Errorf("%v", err)
		}
		wg.Wait()
	})
}

// A channel leads to the listener of its name as it is at the moment.
func TestChannelAfterApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t, &Network{}, answering(Listener("egress", "r1")))
		ch := open(t, s, proxy.ChannelOptions{Listener: "egress", Protocol: "Http1"})
		wantAnswer(t, ch, "/", "r1")
		s.MustApply(t, answering(Listener("egress", "r2")))
		wantAnswer(t, ch, "/", "r2")
		s.MustApply(t, answering(Bound("egress", "r3", "127.0.0.1:0"))) // another listener of that name
		wantAnswer(t, ch, "/", "r3")
		s.MustApply(t, answering(Listener("other", "r4")))
		if _, _, err := send(t, ch, t.Context(), "/"); stream.AsError(err).Kind != stream.Connect || !strings.Contains(err.Error(), `there is no listener "egress"`) {
			t.Errorf("%v", err)
		}
		s.MustApply(t, answering(Listener("egress", "r5")))
		wantAnswer(t, ch, "/", "r5")
	})
}

func TestChannelWhileTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		n.HTTP(t, "h:1", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Second)
			_, _ = io.WriteString(w, "ok")
		})
		s := Start(t, n, &config.Snapshot{
			Listeners: []config.Listener{Listener("egress", "main")},
			Routers:   []config.Router{Router("main", To("/", "c"))},
			Clusters:  []config.Cluster{Cluster("c", "h:1")},
		})
		ch := open(t, s, proxy.ChannelOptions{Listener: "egress", Protocol: "Http1"})
		var wg sync.WaitGroup
		wg.Go(func() { wantAnswer(t, ch, "/", "ok") })
		time.Sleep(time.Second)
		wg.Go(func() { must(t, s.Shutdown(t.Context())) })
		time.Sleep(time.Second)
		if _, _, err := send(t, ch, t.Context(), "/"); stream.AsError(err).Kind != stream.Stopping {
			t.Errorf("a new request while it stops: %v", err)
		}
		wg.Wait()
		if _, err := s.Channel(proxy.ChannelOptions{Listener: "egress", Protocol: "Http1"}); err == nil || !strings.Contains(err.Error(), "shut down") {
			t.Errorf("a new channel: %v", err)
		}
	})
}
