package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ways are how curl can speak to the port: what it is told, the scheme, and
// the version that must come of it.
var ways = []struct {
	name, scheme, version string
	args                  []string
}{
	{"http1", "http", "1.1", []string{"--http1.1"}},
	{"h2c", "http", "2", []string{"--http2-prior-knowledge"}},
	{"tls http1", "https", "1.1", []string{"--http1.1"}},
	{"tls h2", "https", "2", []string{"--http2"}},
}

// curl is the program with what it always needs here.
type curl struct {
	program
	r *rig
}

// replied is an answer as curl saw it.
type replied struct {
	status, version, connects, uploaded string
	head, body, trace                   string
	code                                int
}

const asked = "%{http_code} %{http_version} %{num_connects} %{size_upload}\n"

// always are the options that bound curl's time and let it find and trust the port.
func (c curl) always() []string {
	return []string{"-sS", "--max-time", "200", "--cacert", c.r.file, "--resolve", serverName + ":" + c.r.port + ":127.0.0.1"}
}

func (c curl) url(scheme, path string) string {
	return scheme + "://" + serverName + ":" + c.r.port + path
}

// get has curl do what args say to path.
func (c curl) get(t testing.TB, input []byte, scheme, path string, args ...string) replied {
	t.Helper()
	head, body := filepath.Join(c.dir, "head"), filepath.Join(c.dir, "body")
	_, _ = os.Remove(head), os.Remove(body)
	all := append([]string{"-v", "-D", head, "-o", body, "-w", asked}, c.always()...)
	all = append(all, args...)
	o := c.run(t, bytes.NewReader(input), append(all, c.url(scheme, path))...)
	rep := replied{code: o.code, trace: o.err}
	if _, err := fmt.Sscan(o.out, &rep.status, &rep.version, &rep.connects, &rep.uploaded); err != nil {
		t.Fatalf("curl said %q: %v\n%s", o.out, err, o.err)
	}
	h, _ := os.ReadFile(head)
	b, _ := os.ReadFile(body)
	rep.head, rep.body = strings.ToLower(string(h)), string(b)
	return rep
}

func newCurl(t testing.TB) curl {
	t.Helper()
	p := find(t, "curl")
	return curl{p, newRig(t, newCerts(t))}
}

// TestCurlUpgrade: curl begins with HTTP/1.1 and offers HTTP/2, which is taken
// where the request has no body.
func TestCurlUpgrade(t *testing.T) {
	c := newCurl(t)
	for _, tc := range []struct {
		version string
		args    []string
	}{{"2", nil}, {"2", []string{"-I"}}, {"2", []string{"-X", "POST"}}, {"1.1", []string{"-d", "body"}}} {
		for _, to := range []string{"/h1/doc", "/s2/doc"} {
			rep := c.get(t, nil, "http", to, append(tc.args, "--http2")...)
			if rep.status != "200" || rep.version != tc.version || rep.code != 0 || rep.connects != "1" {
				t.Errorf("%v %s: %s, version %s\n%s", tc.args, to, rep.status, rep.version, rep.trace)
			}
		}
	}
}

// TestCurl: everything that curl can be told to do, in every way it can speak
// to the port, to hosts in either protocol.
func TestCurl(t *testing.T) {
	c := newCurl(t)
	big := noise(20 << 20)
	c.file(t, "big", big)
	cases := []struct {
		name, path, status, body string
		head                     string // a line that must be there, or one that must not, after "!"
		input                    []byte
		args                     []string
	}{
		{name: "GET", path: "doc", status: "200", body: string(document), head: "content-length: 100000"},
		{name: "HEAD", path: "doc", status: "200", head: "content-length: 100000", args: []string{"-I"}},
		{name: "range", path: "doc", status: "206", body: string(document[500:1000]), head: "content-range: bytes 500-999/100000", args: []string{"-r", "500-999"}},
		{name: "not modified", path: "doc", status: "304", head: `etag: "one"`, args: []string{"-H", `If-None-Match: "one"`}},
		{name: "no content", path: "204", status: "204", head: "!content-length"},
		{name: "POST of 20 MB", path: "sum", status: "200", body: summed(big), head: "x-length: 20971520", args: []string{"--data-binary", "@big"}},
		{name: "PUT in chunks", path: "sum", status: "200", body: summed(big[:3<<20]), head: "x-length: -1", input: big[:3<<20], args: []string{"-T", "-"}},
		{name: "POST of nothing", path: "sum", status: "200", body: summed(nil), head: "x-length: 0", args: []string{"-X", "POST", "-d", ""}},
		{name: "error of the host", path: "503", status: "503", body: "status 503", head: "!proxy-status"},
		{name: "echo", path: "echo", status: "200", body: string(big[:1<<20]), input: big[:1<<20], args: []string{"-T", "-"}},
	}
	for _, way := range ways {
		for _, to := range []string{"/h1/", "/h2/", "/s2/"} {
			proto := "x-proto: http/1.1"
			if strings.HasSuffix(to, "2/") {
				proto = "x-proto: http/2.0"
			}
			t.Run(way.name+to, func(t *testing.T) {
				for _, tc := range cases {
					if to == "/s2/" && tc.name == "POST of 20 MB" {
						continue // once is enough for TLS under the race detector
					}
					rep := c.get(t, tc.input, way.scheme, to+tc.path, append(tc.args, way.args...)...)
					if tc.name == "HEAD" { // curl prints the head as the body
						rep.body = ""
					}
					fine := strings.Contains(rep.head, tc.head)
					if absent, ok := strings.CutPrefix(tc.head, "!"); ok {
						fine = !strings.Contains(rep.head, absent)
					}
					if rep.code != 0 || rep.status != tc.status || rep.version != way.version || rep.body != tc.body || !fine || !strings.Contains(rep.head, proto) {
						t.Errorf("%s: curl %d, status %s, version %s, body of %d bytes %.60q\n%s\n%.4000s",
							tc.name, rep.code, rep.status, rep.version, len(rep.body), rep.body, rep.head, rep.trace)
					}
				}
			})
		}
	}
}

// TestCurlAnswersOfTheProxy: what no host answers.
func TestCurlAnswersOfTheProxy(t *testing.T) {
	c := newCurl(t)
	t.Run("ways", func(t *testing.T) { c.answersOfTheProxy(t) })
	// The hosts of those that were late have lost their callers.
	gone := make(map[string]int)
	for range 2 * len(ways) {
		gone[take(t, c.r.host.gone)]++
	}
	if gone["/late/mute"] != len(ways) || gone["/late/stay"] != len(ways) {
		t.Errorf("the host lost the callers of %v", gone)
	}
}

// answersOfTheProxy asks in all ways at the same time, as much of it is waiting.
func (c curl) answersOfTheProxy(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c := curl{program{c.path, t.TempDir()}, c.r} // curl writes files
			for _, tc := range []struct{ path, status, field string }{
				{"/nowhere", "404", "proxy-status: ottavo; error=destination_not_found"},
				{"/gone/x", "503", "proxy-status: ottavo; error=connection_refused"},
				{"/late/mute", "504", "proxy-status: ottavo; error=http_response_timeout"},
			} {
				rep := c.get(t, nil, way.scheme, tc.path, way.args...)
				if rep.code != 0 || rep.status != tc.status || rep.version != way.version || !strings.Contains(rep.head, tc.field) {
					t.Errorf("%s: curl %d, status %s, version %s\n%s\n%s", tc.path, rep.code, rep.status, rep.version, rep.head, rep.trace)
				}
			}
			// An answer that breaks off, at the host or by the route's time
			// limit, is no whole one for curl. (It forgets a head of HTTP/2
			// when the end of the stream comes with it.)
			for _, path := range []string{"/h1/abort", "/h2/abort", "/late/stay"} {
				rep := c.get(t, nil, way.scheme, path, way.args...)
				if rep.code == 0 || rep.code == 28 || rep.status != "200" && rep.code != 92 {
					t.Errorf("%s: curl %d, status %s, %q\n%s", path, rep.code, rep.status, rep.body, rep.trace)
				}
			}
		})
	}
}

// TestCurlExpect: curl asks before it sends much, and would wait for longer
// than the test if nobody told it to go on.
func TestCurlExpect(t *testing.T) {
	c := newCurl(t)
	big := noise(2 << 20)
	c.file(t, "big", big)
	ask := []string{"--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "300", "--data-binary", "@big"}
	for _, scheme := range []string{"http", "https"} {
		for _, to := range []string{"/h1/", "/h2/"} {
			rep := c.get(t, nil, scheme, to+"sum", ask...)
			if rep.status != "200" || rep.body != summed(big) || strings.Count(rep.trace, "100 Continue") != 1 {
				t.Errorf("%s %s: status %s, %q\n%s", scheme, to, rep.status, rep.body, rep.trace)
			}
		}
		// Who is refused sends nothing.
		for path, status := range map[string]string{"/nowhere": "404", "/gone/x": "503"} {
			rep := c.get(t, nil, scheme, path, ask...)
			if rep.status != status || rep.uploaded != "0" || strings.Contains(rep.trace, "100 Continue") {
				t.Errorf("%s %s: status %s, %s bytes sent\n%s", scheme, path, rep.status, rep.uploaded, rep.trace)
			}
		}
	}
}

// TestCurlConnections: connections are kept, or not, as agreed.
func TestCurlConnections(t *testing.T) {
	c := newCurl(t)
	for _, way := range ways {
		// Four requests, with and without bodies, one answered by the proxy.
		const told = "|%{http_code} %{num_connects}\n"
		args := append(c.always(), "-w", told)
		args = append(args, way.args...)
		for i, request := range [][]string{
			{c.url(way.scheme, "/h1/sum")},
			{"-d", "hello", c.url(way.scheme, "/h1/sum")},
			{"-o", os.DevNull, c.url(way.scheme, "/no")},
			{c.url(way.scheme, "/h1/sum")},
		} {
			if i > 0 { // options hold up to the next
				// Not the version: this curl begins HTTP/2 anew on a
				// connection that has it, if told so again.
				args = append(args, "--next", "-w", told)
				args = append(args, c.always()...)
			}
			args = append(args, request...)
		}
		empty, hello := summed(nil), summed([]byte("hello"))
		want := fmt.Sprintf("%s|200 1\n%s|200 0\n|404 0\n%s|200 0\n", empty, hello, empty)
		if got := c.must(t, args...); got != want {
			t.Errorf("%s: %q, want %q", way.name, got, want)
		}
	}
	if rep := c.get(t, nil, "http", "/h1/doc", "--http1.1", "-H", "Connection: close"); rep.status != "200" || !strings.Contains(rep.head, "connection: close") {
		t.Errorf("close: %+v", rep.head)
	}
	// A caller of old, to whom chunks mean nothing.
	for _, to := range []string{"/h1/", "/h2/"} {
		rep := c.get(t, nil, "http", to+"trailer", "--http1.0", "-d", "hello")
		if rep.status != "200" || rep.body != "5 bytes" || strings.Contains(rep.head, "chunked") {
			t.Errorf("HTTP/1.0 %s: %s %q\n%s", to, rep.status, rep.body, rep.head)
		}
	}
	// An offer to change to HTTP/2 may be declined, but the request counts.
	if rep := c.get(t, nil, "http", "/h1/sum", "--http2", "-d", "hello"); rep.status != "200" || rep.body != summed([]byte("hello")) {
		t.Errorf("upgrade: %+v", rep)
	}
	// Many at a time, over as few connections as curl finds right. (It does
	// not manage that by prior knowledge, not even with net/http.)
	for _, way := range ways {
		if way.name == "h2c" {
			continue
		}
		args := append(c.always(), "-Z", "--parallel-max", "20", "-w", "%{http_code} %{http_version} %{size_download}\n")
		args = append(args, way.args...)
		for i := range 50 {
			args = append(args, c.url(way.scheme, fmt.Sprintf("/as/doc?%d", i)), "-o", os.DevNull)
		}
		out := c.must(t, args...)
		if n := strings.Count(out, "200 "+way.version+" 100000\n"); n != 50 {
			t.Errorf("%s: %d of 50 in %q", way.name, n, out)
		}
	}
}
