package router

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestG18Redirect(t *testing.T) {
	type r = config.Redirect
	for _, c := range []struct {
		name                    string
		redirect                r
		scheme, authority, path string
		query                   string // with its "?"
		status                  int
		want                    string // "": refused
	}{
		{"all, as in MOSN's documentation", r{ResponseCode: 301, PathRedirect: "/b", HostRedirect: "test", SchemeRedirect: "http"}, "http", "shop", "/a", "", 301, "http://test/b"},
		{"path", r{PathRedirect: "/new"}, "http", "shop:80", "/a", "", 301, "http://shop:80/new"},
		{"query is kept", r{PathRedirect: "/new"}, "http", "shop", "/a", "?x=1&y", 301, "http://shop/new?x=1&y"},
		{"empty query is kept", r{HostRedirect: "b"}, "http", "shop", "/a", "?", 301, "http://b/a?"},
		{"query of its own", r{PathRedirect: "/new?z"}, "http", "shop", "/a", "?x=1", 301, "http://shop/new?z"},
		{"host", r{HostRedirect: "other:81"}, "https", "shop", "/a%20b", "", 301, "https://other:81/a%20b"},
		{"scheme", r{SchemeRedirect: "HTTPS"}, "http", "shop", "/a", "", 301, "https://shop/a"},
		{"scheme, default port", r{SchemeRedirect: "https"}, "http", "shop:80", "/a", "", 301, "https://shop/a"},
		{"scheme, default port of the other", r{SchemeRedirect: "https"}, "http", "shop:443", "/a", "", 301, "https://shop:443/a"},
		{"scheme, other port", r{SchemeRedirect: "https"}, "http", "shop:8080", "/a", "", 301, "https://shop:8080/a"},
		{"scheme back, default port", r{SchemeRedirect: "http"}, "https", "shop:443", "/a", "", 301, "http://shop/a"},
		{"same scheme keeps the port", r{SchemeRedirect: "http", PathRedirect: "/x"}, "http", "shop:80", "/a", "", 301, "http://shop:80/x"},
		{"host with a port and scheme", r{SchemeRedirect: "https", HostRedirect: "b:80"}, "http", "shop:80", "/a", "", 301, "https://b:80/a"},
		{"IPv6", r{SchemeRedirect: "https"}, "http", "[::1]:80", "/a", "", 301, "https://[::1]/a"},
		{"status", r{ResponseCode: 308, PathRedirect: "/x"}, "http", "shop", "/a", "", 308, "http://shop/x"},
		{"no scheme known", r{PathRedirect: "/x"}, "", "shop", "/a", "", 301, "http://shop/x"},
		{"not a host of their choice", r{SchemeRedirect: "https"}, "http", "shop", "//evil/", "", 301, "https://shop//evil/"},
		{"host as a whole", r{SchemeRedirect: "https"}, "http", "shop", "*", "", 301, "https://shop"},
		{"no host", r{PathRedirect: "/x"}, "http", "", "/a", "", 0, ""},
		{"no host, but one to go to", r{HostRedirect: "b"}, "http", "", "/a", "", 301, "http://b/a"},
		{"bad host", r{PathRedirect: "/x"}, "http", "a\r\nSet-Cookie: x", "/a", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := get(c.authority, c.path)
			req.Scheme = c.scheme
			if c.query != "" {
				req.Query, req.HasQuery = c.query[1:], true
			}
			resp, err := compile(t, routes(config.Route{Name: "r", Redirect: &c.redirect})).Handle(t.Context(), req)
			if c.want == "" {
				wantKind(t, err, stream.BadMessage)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if resp.Status != c.status || resp.Header.Get("location") != c.want || resp.Body != nil || resp.ContentLength != 0 {
				t.Errorf("%d to %s, want %d to %s", resp.Status, resp.Header.Get("location"), c.status, c.want)
			}
			if req.Info.Route != "r" || req.Info.Cluster != "" {
				t.Errorf("info %+v", req.Info)
			}
		})
	}
}

func TestRequireTLS(t *testing.T) {
	const outside, inside, inside6, pipe = "10.1.2.3:4", "127.0.0.1:5", "[::1]:5", "client"
	for _, c := range []struct {
		demand, scheme, from string
		redirected           bool
	}{
		{"", "http", outside, false},
		{"NONE", "http", outside, false},
		{"ALL", "http", outside, true},
		{"ALL", "http", inside, true},
		{"ALL", "https", outside, false},
		{"EXTERNAL_ONLY", "http", outside, true},
		{"EXTERNAL_ONLY", "http", inside, false},
		{"EXTERNAL_ONLY", "http", inside6, false},
		{"EXTERNAL_ONLY", "http", "[::ffff:127.0.0.1]:5", false},
		{"EXTERNAL_ONLY", "http", pipe, false},
		{"EXTERNAL_ONLY", "https", outside, false},
	} {
		cfg := routes(config.Route{Route: to("c")})
		cfg.VirtualHosts[0].RequireTLS = c.demand
		cfg.VirtualHosts[0].ResponseHeadersToAdd = []config.HeaderToAdd{{Header: config.HeaderValue{Key: "x-vh", Value: "1"}}}
		req := get("shop:80", "/a")
		req.Scheme, req.Info.Downstream, req.Query, req.HasQuery = c.scheme, c.from, "q", true
		resp, err := compile(t, cfg).Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Status == 301; got != c.redirected {
			t.Errorf("%+v: status %d", c, resp.Status)
		}
		if c.redirected && (resp.Header.Get("location") != "https://shop/a?q" || resp.Header.Get("x-vh") != "1" || req.Info.VirtualHost != "all") {
			t.Errorf("%+v: header %+v", c, resp.Header)
		}
	}
}

func TestG18OneWay(t *testing.T) {
	req := get("shop", "/")
	req.OneWay = true
	resp, err := compile(t, routes(config.Route{Redirect: &config.Redirect{PathRedirect: "/x"}})).Handle(t.Context(), req)
	if resp != stream.NoResponse || err != nil {
		t.Errorf("%v, %v, want NoResponse", resp, err)
	}
}
