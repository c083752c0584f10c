package interop

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// hosts are the prefixes of the rig's hosts, and what is spoken with them.
var hosts = []struct{ prefix, proto string }{
	{"/h1/", "HTTP/1.1"}, {"/h2/", "HTTP/2.0"}, {"/s1/", "HTTP/1.1"}, {"/s2/", "HTTP/2.0"},
}

// eachConversion runs a test for net/http's caller in each way, and a host in each.
func eachConversion(t *testing.T, run func(t *testing.T, r *rig, c *caller, prefix, proto string)) {
	r := newRig(t, newCerts(t))
	for _, way := range ways {
		c := goClient(t, r, way.scheme, way.version)
		for _, h := range hosts {
			t.Run(way.name+h.prefix, func(t *testing.T) { run(t, r, c, h.prefix, h.proto) })
		}
	}
}

// unknown hides how long a request's body is.
func unknown(r *http.Request) {
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(io.MultiReader(r.Body)), -1, nil
}

func field(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// TestConversion: whatever the caller and the host speak, the exchange is the
// same.
func TestConversion(t *testing.T) {
	body := noise(300_000)
	long := strings.Repeat("x", 20_000)
	cases := []struct {
		name, method, path string
		body               []byte
		change             func(*http.Request)
		status             int
		want               string // the answer's body
		length             int64  // what the answer says of it, if not its length
		head, value        string // a field of the answer
	}{
		{name: "GET", method: "GET", path: "doc", status: 200, want: string(document)},
		{name: "HEAD", method: "HEAD", path: "doc", status: 200, length: 100_000},
		{name: "HEAD of an error", method: "HEAD", path: "404", status: 404, length: 10},
		{name: "no content", method: "GET", path: "204", status: 204},
		{name: "not modified", method: "GET", path: "doc", status: 304, change: field("If-None-Match", `"one"`), head: "Etag", value: `"one"`},
		{name: "part", method: "GET", path: "doc", status: 206, want: string(document[5:15]), change: field("Range", "bytes=5-14"), head: "Content-Range", value: "bytes 5-14/100000"},
		{name: "error", method: "GET", path: "500", status: 500, want: "status 500"},
		{name: "body of known length", method: "POST", path: "sum", body: body, status: 200, want: summed(body), head: "X-Length", value: "300000"},
		{name: "body of unknown length", method: "PUT", path: "sum", body: body, status: 200, want: summed(body), change: unknown, head: "X-Length", value: "-1"},
		{name: "no body", method: "POST", path: "sum", status: 200, want: summed(nil), head: "X-Length", value: "0"},
		{name: "DELETE with a body", method: "DELETE", path: "sum", body: body[:5], status: 200, want: summed(body[:5]), head: "X-Length", value: "5"},
		{name: "answer of unknown length", method: "POST", path: "echo", body: body, status: 200, want: string(body), length: -1},
		{name: "method of their own", method: "BREW", path: "pot", status: 200, want: "BREW"},
		{name: "long field", method: "GET", path: "sum", status: 200, want: summed(nil), change: field("X-Long", long)},
	}
	eachConversion(t, func(t *testing.T, _ *rig, c *caller, prefix, proto string) {
		for _, tc := range cases {
			length := tc.length
			if length == 0 {
				length = int64(len(tc.want))
			}
			got := c.do(t, tc.method, prefix+tc.path, tc.body, tc.change)
			switch {
			case got.err != nil:
				t.Errorf("%s: %v", tc.name, got.err)
			case got.status != tc.status || got.body != tc.want || got.length != length && tc.status != 304 || got.header.Get("X-Proto") != proto:
				t.Errorf("%s: %d, body of %d bytes (%d said) %.50q, header %v", tc.name, got.status, len(got.body), got.length, got.body, got.header)
			case tc.head != "" && got.header.Get(tc.head) != tc.value:
				t.Errorf("%s: %s is %q, want %q", tc.name, tc.head, got.header[tc.head], tc.value)
			case len(got.header["Date"]) != 1:
				t.Errorf("%s: Date is %q", tc.name, got.header["Date"])
			}
		}
	})
}

// TestConversionOfFields: fields are passed on as they are, and those for one
// hop are not.
func TestConversionOfFields(t *testing.T) {
	eachConversion(t, func(t *testing.T, _ *rig, c *caller, prefix, _ string) {
		got := c.do(t, "GET", prefix+"fields?a=%20b&c=/..%2f", nil, func(r *http.Request) {
			r.Header["X-In"] = []string{"one", "two, three"}
			r.Header.Set("Cookie", "a=1; b=2; c=3") // HTTP/2 sends them one by one
			if c.proto == 1 {
				for name, value := range map[string]string{"Connection": "x-hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive", "Te": "trailers"} {
					r.Header.Set(name, value)
				}
			}
		})
		want := fmt.Sprintf("GET %s %sfields?a=%%20b&c=/..%%2f %q %q", serverName, prefix, []string{"one", "two, three"}, []string{"a=1; b=2; c=3"})
		if got.body != want || !slices.Equal(got.header["X-Twice"], []string{"1", "2"}) {
			t.Errorf("%q, want %q; %q, %v", got.body, want, got.header["X-Twice"], got.err)
		}
	})
}

// TestConversionOfTrailers: those of requests and of answers, behind bodies
// and without.
func TestConversionOfTrailers(t *testing.T) {
	eachConversion(t, func(t *testing.T, _ *rig, c *caller, prefix, _ string) {
		for _, n := range []int{0, 5, 200_000} {
			got := c.do(t, "POST", prefix+"trailer", noise(n), func(r *http.Request) {
				unknown(r)
				r.Trailer = http.Header{"X-Sum": {"abc"}}
			})
			if got.err != nil || got.status != 200 || got.body != fmt.Sprintf("%d bytes", n) {
				t.Errorf("%d bytes: %d %q, %v", n, got.status, got.body, got.err)
			}
			if got.trailer.Get("X-End") != "abc" || got.trailer.Get("X-Count") != fmt.Sprint(n) || len(got.trailer) != 2 {
				t.Errorf("%d bytes: trailer %v", n, got.trailer)
			}
		}
	})
}

// TestConversionOfErrors: an answer that breaks off is not taken for a whole
// one, and a caller that goes away takes its request along.
func TestConversionOfErrors(t *testing.T) {
	eachConversion(t, func(t *testing.T, r *rig, c *caller, prefix, _ string) {
		if got := c.do(t, "GET", prefix+"abort", nil, nil); got.err == nil {
			t.Errorf("an answer that breaks off: %d %q", got.status, got.body)
		}
		// A body that breaks off, too: the host learns of it.
		got := c.do(t, "POST", prefix+"sum", []byte("x"), func(r *http.Request) {
			unknown(r)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))
		})
		if got.err == nil {
			t.Errorf("a request that breaks off: %d %q", got.status, got.body)
		}
		host := r.host
		if prefix[1] == 's' {
			host = r.secure
		}
		req, err := http.NewRequestWithContext(soon(t), "GET", c.scheme+"://"+serverName+prefix+"stay", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len("begun\n"))
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "begun\n" {
			t.Errorf("%q, %v", first, err)
		}
		_ = resp.Body.Close()
		host.left(t, prefix+"stay")
		// And the next is none the worse.
		if got := c.do(t, "GET", prefix+"sum", nil, nil); got.err != nil || got.body != summed(nil) {
			t.Errorf("afterwards: %d %q, %v", got.status, got.body, got.err)
		}
	})
}

// broken is a body that cannot be read on.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestConversionBothWays: what the caller sends comes back while it sends more.
func TestConversionBothWays(t *testing.T) {
	eachConversion(t, func(t *testing.T, _ *rig, c *caller, prefix, _ string) {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(soon(t), "POST", c.scheme+"://"+serverName+prefix+"echo", r)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer func() { _ = w.Close() }()
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		for turn := range 10 {
			word := fmt.Sprintf("turn %d", turn)
			wg.Go(func() { _, _ = io.WriteString(w, word) })
			got := make([]byte, len(word))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
				t.Fatalf("%q, %v, want %q", got, err, word)
			}
		}
		_ = w.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
	})
}
