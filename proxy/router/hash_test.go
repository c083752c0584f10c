package router

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func hashing(list ...config.HashPolicy) config.Router {
	return action(config.RouteAction{ClusterName: "c", HashPolicy: list})
}

var (
	byUser   = config.HashPolicy{Header: &config.HashHeader{Key: "X-User"}}
	bySource = config.HashPolicy{SourceIP: &config.HashSourceIP{}}
)

func TestG15Hash(t *testing.T) {
	byCookie := config.HashPolicy{Cookie: &config.HashCookie{Name: "sid"}}
	hashOf := func(from string, fields []string, list ...config.HashPolicy) (uint64, bool) {
		req := get("", "/", fields...)
		req.Info.Downstream = from
		req.Hash, req.Hashed = 7, true // of an earlier route
		got := forwarded(t, hashing(list...), req)
		return got.Hash, got.Hashed
	}
	same := func(name string, a, b uint64) {
		t.Helper()
		if a != b {
			t.Errorf("%s: %x and %x, want the same", name, a, b)
		}
	}
	h, ok := hashOf("10.0.0.1:1", []string{"x-user=joe"}, byUser, bySource)
	// Fixed: another process, and another release, choose the same host.
	if want := uint64(0x7e3092bba33d71ca); !ok || h != want {
		t.Errorf("header: %x, %v, want %x", h, ok, want)
	}
	h2, _ := hashOf("10.0.0.2:1", []string{"x-user=joe", "x-user=jim"}, byUser)
	same("header, first of two", h, h2)
	h2, _ = hashOf("10.0.0.2:1", []string{"cookie=sid=joe"}, byCookie)
	same("cookie", h, h2)
	if h2, _ = hashOf("10.0.0.1:1", []string{"x-user=jim"}, byUser); h2 == h {
		t.Error("another value has the same hash")
	}
	ip, ok := hashOf("10.0.0.1:1", nil, byUser, bySource)
	if !ok || ip == h {
		t.Errorf("address where the header is missing: %x, %v", ip, ok)
	}
	ip2, _ := hashOf("10.0.0.1:2", nil, bySource)
	same("address, other port", ip, ip2)
	ip2, _ = hashOf("[::ffff:10.0.0.1]:2", nil, bySource)
	same("address, written as IPv6", ip, ip2)
	ip2, _ = hashOf("10.0.0.1:3", nil)
	same("default is the address", ip, ip2)
	if ip2, _ = hashOf("10.0.0.2:1", nil, bySource); ip2 == ip {
		t.Error("another address has the same hash")
	}
	if v6, ok := hashOf("[2001:db8::1]:3", nil, bySource); !ok || v6 == ip {
		t.Errorf("IPv6: %x, %v", v6, ok)
	}
	for _, list := range [][]config.HashPolicy{{byUser}, {bySource}, nil} {
		if h, ok := hashOf("client", nil, list...); ok || h != 0 {
			t.Errorf("%v without a value: %x, %v", list, h, ok)
		}
	}
}

func TestG15Cookie(t *testing.T) {
	cookie := config.HashCookie{Name: "sid", Path: "/shop", TTL: 90 * time.Second}
	table := compile(t, hashing(config.HashPolicy{Cookie: &cookie}))
	hashes := make(map[uint64]bool)
	var value string
	for range 100 {
		req := get("", "/", "cookie=other=1")
		resp, err := table.Handle(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		set := resp.Header.Get("set-cookie")
		m := regexp.MustCompile(`^sid=([0-9a-f]{32}); Path=/shop; Max-Age=90; HttpOnly$`).FindStringSubmatch(set)
		if m == nil || !req.Hashed {
			t.Fatalf("Set-Cookie %q, hashed %v", set, req.Hashed)
		}
		value = m[1]
		hashes[req.Hash] = true

		again := get("", "/", "cookie=other=1; sid="+value)
		resp, err = table.Handle(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		if again.Hash != req.Hash || resp.Header.Len() > 0 {
			t.Errorf("with the cookie: hash %x, want %x; header %q", again.Hash, req.Hash, fields(&resp.Header))
		}
	}
	if len(hashes) != 100 {
		t.Errorf("100 callers have %d hashes", len(hashes))
	}

	table = compile(t, hashing(config.HashPolicy{Cookie: &config.HashCookie{Name: "sid"}}))
	resp, err := table.Handle(t.Context(), get("", "/"))
	if err != nil {
		t.Fatal(err)
	}
	if set := resp.Header.Get("set-cookie"); !strings.HasSuffix(set, "; HttpOnly") || strings.Count(set, ";") != 1 {
		t.Errorf("cookie of the session: %q", set)
	}
	table.backends = some{"c": stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
		return nil, stream.Errorf(stream.NoHost, stream.Local, "x")
	})}
	_, err = table.Handle(t.Context(), get("", "/"))
	wantKind(t, err, stream.NoHost)
}
