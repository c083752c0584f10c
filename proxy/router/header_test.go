package router

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// adds makes a list of headers to add of "name=value" for appending, or
// "name:=value" for replacing.
func adds(list ...string) (out []config.HeaderToAdd) {
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		a := config.HeaderToAdd{Header: config.HeaderValue{Key: strings.TrimSuffix(name, ":"), Value: value}}
		if name != a.Header.Key {
			a.Append = new(bool)
		}
		out = append(out, a)
	}
	return out
}

// fields lists a header as "name=value".
func fields(h *stream.Header) (list []string) {
	for name, value := range h.All() {
		list = append(list, name+"="+value)
	}
	return list
}

func TestG17RequestHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		add    []string
		remove []string
		sent   []string
		want   []string
	}{
		{"add", []string{"X-A=1"}, nil, nil, []string{"X-A=1"}},
		{"append", []string{"x-a=2"}, nil, []string{"X-A=1", "b=3"}, []string{"X-A=1,2", "b=3"}},
		{"append to an empty one", []string{"x-a=2"}, nil, []string{"x-a="}, []string{"x-a=2"}},
		{"append to several", []string{"x-a=3"}, nil, []string{"x-a=1", "x-a=2"}, []string{"x-a=1", "x-a=2", "x-a=3"}},
		{"append a cookie", []string{"cookie=b=2"}, nil, []string{"Cookie=a=1"}, []string{"Cookie=a=1; b=2"}},
		{"replace", []string{"x-a:=2"}, nil, []string{"X-A=1", "b=3", "x-a=1"}, []string{"X-A=2", "b=3"}},
		{"remove", nil, []string{"X-A"}, []string{"x-a=1", "b=3", "x-A=2"}, []string{"b=3"}},
		{"remove what is not there", nil, []string{"x"}, []string{"b=3"}, []string{"b=3"}},
		{"variable", []string{"x-a=at %x-mosn-host%: %request_header_id%, 100%%"}, nil, []string{"id=7"}, []string{"id=7", "x-a=at shop: 7, 100%"}},
		{"variable without a value", []string{"x-a:=%request_header_id%"}, nil, []string{"x-a=forged"}, []string{"x-a=forged"}},
		{"empty text", []string{"x-a:="}, nil, nil, []string{"x-a="}},
		{"hostile variable", []string{"x-a=%tenant%"}, nil, nil, []string{"x-a=t%0D%0Aevil: 1"}},
		{"blank at the ends", []string{"x-a=%blank%"}, nil, nil, []string{"x-a=b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := config.RouteAction{ClusterName: "c", HeaderChanges: config.HeaderChanges{RequestHeadersToAdd: adds(c.add...), RequestHeadersToRemove: c.remove}}
			req := get("shop", "/", c.sent...)
			req.Vars.Set("tenant", "t\r\nevil: 1")
			req.Vars.Set("blank", " b\t")
			if got := forwarded(t, action(a), req); !slices.Equal(fields(&got.Header), c.want) {
				t.Errorf("header %q, want %q", fields(&got.Header), c.want)
			}
		})
	}
}

// levels is a router with changes at every level.
func levels(r config.Route) config.Router {
	changes := func(level string) config.HeaderChanges {
		return config.HeaderChanges{
			RequestHeadersToAdd: adds("x-order="+level, "x-last:="+level), RequestHeadersToRemove: []string{"x-" + level},
			ResponseHeadersToAdd: adds("y-order="+level, "y-last:="+level, "set-cookie="+level), ResponseHeadersToRemove: []string{"y-" + level},
		}
	}
	if r.Route != nil {
		r.Route.HeaderChanges = changes("action")
	}
	r.HeaderChanges = changes("route")
	cfg := routes(r)
	cfg.VirtualHosts[0].HeaderChanges = changes("host")
	cfg.HeaderChanges = changes("router")
	return cfg
}

func TestG17Levels(t *testing.T) {
	table := compile(t, levels(config.Route{Route: to("c")}))
	var seen []string
	table.backends = some{"c": stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		seen = fields(&req.Header)
		resp := &stream.Response{Status: 200}
		for _, name := range []string{"y-action", "y-route", "y-host", "y-router", "y-stays"} {
			resp.Header.Add(name, "1")
		}
		resp.Header.Add("Set-Cookie", "own")
		return resp, nil
	})}
	resp, err := table.Handle(t.Context(), get("", "/", "x-action=1", "x-route=1", "x-host=1", "x-router=1", "x-stays=1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"x-stays=1", "x-order=action,route,host,router", "x-last=router"}; !slices.Equal(seen, want) {
		t.Errorf("the request had %q, want %q", seen, want)
	}
	want := []string{
		"y-stays=1", "Set-Cookie=own", "y-order=action,route,host,router", "y-last=router",
		"set-cookie=action", "set-cookie=route", "set-cookie=host", "set-cookie=router",
	}
	if got := fields(&resp.Header); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the answer had %q, want %q", got, want)
	}
}

func TestG17OwnAnswers(t *testing.T) {
	for name, r := range map[string]config.Route{
		"direct":   {DirectResponse: &config.DirectResponse{Status: 200, Body: "x"}},
		"redirect": {Redirect: &config.Redirect{PathRedirect: "/x"}},
	} {
		resp, err := compile(t, levels(r)).Handle(t.Context(), get("shop", "/"))
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("y-order"); got != "route,host,router" {
			t.Errorf("%s: changed by %q", name, got)
		}
	}
}

// The one answer that stands for none is not touched: it is everybody's.
func TestG17NoResponse(t *testing.T) {
	table := compile(t, levels(config.Route{Route: to("c")}))
	table.backends = still{}
	if resp, err := table.Handle(t.Context(), get("", "/")); resp != stream.NoResponse || err != nil || resp.Header.Len() > 0 {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestG17Host(t *testing.T) {
	for _, c := range []struct{ name, add, want string }{
		{"host", "Host=other", "other"},
		{"authority", ":authority=other:1", "other:1"},
		{"variable", "host=%request_header_to%.example", "there.example"},
		{"variable without a value", "host=%request_header_none%", "shop"},
		{"variable that is no host", "host=%request_header_bad%", "shop"},
	} {
		a := config.RouteAction{ClusterName: "c", HeaderChanges: config.HeaderChanges{RequestHeadersToAdd: adds(c.add)}}
		got := forwarded(t, action(a), get("shop", "/", "to=there", "bad=a/b"))
		if got.Authority != c.want || got.Header.Len() != 2 {
			t.Errorf("%s: host %s, want %s; header %q", c.name, got.Authority, c.want, fields(&got.Header))
		}
	}
}
