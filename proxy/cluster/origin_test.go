package cluster_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestH14OriginalDst(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    *config.OriginalDst
		set    func(req *stream.Request)
		want   string
		errHas string
	}{
		{"captured", nil, func(r *stream.Request) { r.Target = "10.0.0.7:8080" }, "10.0.0.7:8080", ""},
		{"captured, local", &config.OriginalDst{ReplaceLocal: true}, func(r *stream.Request) { r.Target = "10.0.0.7:8080" }, "127.0.0.1:8080", ""},
		{"not captured", nil, func(*stream.Request) {}, "", "not captured"},
		{"Host", &config.OriginalDst{UseHeader: true}, func(r *stream.Request) { r.Authority = "h.example:81" }, "h.example:81", ""},
		{"Host without port", &config.OriginalDst{UseHeader: true, HeaderName: "Host"}, func(r *stream.Request) { r.Authority = "h.example" }, "h.example:80", ""},
		{"https", &config.OriginalDst{UseHeader: true}, func(r *stream.Request) { r.Authority, r.Scheme = "h.example", "https" }, "h.example:443", ""},
		{"IPv6", &config.OriginalDst{UseHeader: true}, func(r *stream.Request) { r.Authority = "[::1]" }, "[::1]:80", ""},
		{"field", &config.OriginalDst{UseHeader: true, HeaderName: "x-to"}, func(r *stream.Request) { r.Header.Add("X-To", "f:5") }, "f:5", ""},
		{"no field", &config.OriginalDst{UseHeader: true, HeaderName: "x-to"}, func(*stream.Request) {}, "", "x-to"},
		{"no port", &config.OriginalDst{UseHeader: true}, func(r *stream.Request) { r.Authority = "a:b" }, "", "is no address"},
		{"a path", &config.OriginalDst{UseHeader: true}, func(r *stream.Request) { r.Authority = "/run/x:1" }, "", "is no address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &hosts{}
			c := newCluster(t, config.Cluster{Type: "ORIGINAL_DST", LBType: cluster.OriginalDst, OriginalDstLBConfig: tc.cfg}, tables(t, h.dial), nil)
			defer c.Close()
			req := get()
			tc.set(req)
			body, err := call(t, c, req)
			if body != tc.want || (err != nil) != (tc.errHas != "") || err != nil && (!strings.Contains(err.Error(), tc.errHas) || stream.AsError(err).Kind != stream.NoHost) {
				t.Errorf("answer of %q, %v", body, err)
			}
		})
	}
}

// Hosts that nobody asks for are forgotten, with their connections; those in
// use are not, and a new configuration takes them over.
func TestH14OriginalDstForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{}
		cfg := config.Cluster{Type: "ORIGINAL_DST"}
		c := newCluster(t, cfg, tables(t, h.dial), nil)
		to := func(address string) *stream.Request {
			req := get()
			req.Target = address
			return req
		}
		for range 3 {
			mustCall(t, c, to("a:1"))
			mustCall(t, c, to("b:1"))
		}
		cfg.LBType = "LB_RANDOM"
		next := newCluster(t, cfg, tables(t, h.dial), c)
		c.Retire(next)
		mustCall(t, next, to("a:1"))
		if h.dials.Load() != 2 {
			t.Errorf("%d dials, want 2", h.dials.Load())
		}
		for range 10 {
			time.Sleep(20 * time.Second)
			mustCall(t, next, to("a:1"))
		}
		if h.dials.Load() != 2 || h.open() != 1 {
			t.Errorf("%d dials, %d open; want a's connection kept and b's closed", h.dials.Load(), h.open())
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if h.open() != 0 {
			t.Errorf("%d connections to hosts that nobody asks for", h.open())
		}
		mustCall(t, next, to("a:1"))
		next.Close()
		synctest.Wait()
		if h.open() != 0 {
			t.Errorf("%d connections of a closed cluster", h.open())
		}
	})
}
