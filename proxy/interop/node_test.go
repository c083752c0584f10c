package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestNode: the HTTP/2 client of Node, plaintext and TLS, to hosts in either
// protocol; testdata/http2.mjs is what it does.
func TestNode(t *testing.T) {
	p := find(t, "node")
	script, err := filepath.Abs(filepath.Join("testdata", "http2.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, to := range []struct{ name, proto string }{{"h1", "HTTP/1.1"}, {"h2", "HTTP/2.0"}} {
		for _, line := range []string{
			"GET 200 100000 100000 " + to.proto,
			"HEAD 200 0 100000",
			"204 204 0 0",
			"POST 200 2001400 true",
			"trailers 200 5 bytes abc 5",
			"turns 200 10 60",
			"cancel 200 begun 8",
			"abort true ERR_HTTP2_STREAM_ERROR",
			"many 200/100000 x20, 200/50000 x20, 503/error x20",
		} {
			_, _ = fmt.Fprintln(&want, to.name, line)
		}
	}
	want.WriteString("ping true\nclosed\n")
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			r := newRig(t, newCerts(t))
			args := []string{script, scheme + "://" + r.addr}
			if scheme == "https" {
				args = append(args, r.file)
			}
			if got := p.must(t, args...); got != want.String() {
				t.Errorf("got\n%s\nwant\n%s", got, want.String())
			}
			r.host.left(t, "/h1/stay")
			r.host.left(t, "/h2/stay")
		})
	}
}
