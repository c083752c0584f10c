package interop

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// TestNghttp: bodies with trailers in both directions, to hosts in either
// protocol, and several requests at a time with priorities among them.
func TestNghttp(t *testing.T) {
	p := find(t, "nghttp")
	r := newRig(t, newCerts(t))
	p.file(t, "body", noise(300_000))
	for _, scheme := range []string{"http", "https"} {
		for to, proto := range map[string]string{"/h1/": "HTTP/1.1", "/h2/": "HTTP/2.0", "/s1/": "HTTP/1.1", "/s2/": "HTTP/2.0"} {
			t.Run(scheme+to, func(t *testing.T) {
				out := p.must(t, "-v", "-y", "--trailer", "x-sum: 55", "-d", "body", scheme+"://"+r.addr+to+"trailer")
				for _, want := range []string{":status: 200", "x-proto: " + proto, "x-count: 300000", "x-end: 55", "300000 bytes"} {
					if !strings.Contains(out, want) {
						t.Errorf("no %q in\n%s", want, out)
					}
				}
				// The trailers are behind the body.
				if strings.Index(out, "300000 bytes") > strings.Index(out, "x-end: 55") {
					t.Errorf("the trailers came before the body:\n%s", out)
				}
				out = p.must(t, "-n", "-s", "-y", "-m", "20", scheme+"://"+r.addr+to+"doc", scheme+"://"+r.addr+to+"404", scheme+"://"+r.addr+"/nowhere")
				for what, want := range map[string]int{`200  97K /h\d/doc|200  97K /s\d/doc`: 20, `404   10 /.\d/404`: 20, `404 +\d+ /nowhere`: 20} {
					if got := len(regexp.MustCompile(what).FindAllString(out, -1)); got != want {
						t.Errorf("%d times %q in\n%s", got, what, out)
					}
				}
			})
		}
	}
}

// TestNghttpUpgrade: from HTTP/1.1 to HTTP/2 on an open connection; the first
// request is the one that asks for it. One with a body is served all the same.
func TestNghttpUpgrade(t *testing.T) {
	p := find(t, "nghttp")
	r := newRig(t, newCerts(t))
	p.file(t, "body", noise(10_000))
	for _, to := range []string{"/h1/", "/h2/", "/s1/", "/s2/"} {
		out := p.must(t, "-u", "-v", "-y", "http://"+r.addr+to+"doc")
		for _, want := range []string{"101 Switching Protocols", "HTTP Upgrade success", "recv (stream_id=1) :status: 200"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", to, want, out)
			}
		}
		out = p.must(t, "-u", "-n", "-s", "-y", "-m", "20", "http://"+r.addr+to+"doc", "http://"+r.addr+to+"404")
		for what, want := range map[string]int{`200  97K /.\d/doc`: 20, `404   10 /.\d/404`: 20} {
			if got := len(regexp.MustCompile(what).FindAllString(out, -1)); got != want {
				t.Errorf("%s: %d times %q in\n%s", to, got, what, out)
			}
		}
	}
}

// TestH2load: 2,000 requests over 10 connections, 20 at a time on each.
func TestH2load(t *testing.T) {
	p := find(t, "h2load")
	r := newRig(t, newCerts(t))
	p.file(t, "body", noise(10_000))
	for _, tc := range []struct {
		name, scheme, path string
		args               []string
	}{
		{"GET to HTTP/2", "http", "/h2/sum", nil},
		{"GET to HTTP/1", "http", "/h1/sum", nil},
		{"POST over TLS to HTTP/2 over TLS", "https", "/s2/echo", []string{"-d", "body"}},
		{"POST by HTTP/1 to HTTP/2", "http", "/h2/echo", []string{"-d", "body", "--h1", "-m", "1"}},
		{"small windows", "http", "/h2/doc", []string{"-w", "12", "-W", "14", "-n", "500"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"-n", "2000", "-c", "10", "-m", "20"}, tc.args...)
			out := p.must(t, append(args, tc.scheme+"://"+r.addr+tc.path)...)
			n := 2000
			if tc.name == "small windows" {
				n = 500
			}
			for _, want := range []string{
				fmt.Sprintf("%d total, %d started, %d done, %d succeeded, 0 failed, 0 errored, 0 timeout", n, n, n, n),
				fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", n),
			} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// TestNghttpd: a foreign host of HTTP/2, plaintext and TLS, that sends trailers,
// pads its frames, and allows for few requests at a time on a connection.
func TestNghttpd(t *testing.T) {
	p := find(t, "nghttpd")
	c := newCerts(t)
	p.file(t, "doc", document)
	p.file(t, "cert", []byte(c.chain))
	p.file(t, "key", []byte(c.key))
	options := []string{"-v", "-a", "127.0.0.1", "-d", p.dir, "--trailer", "x-end: done", "-b", "200", "-m", "5", "--echo-upload"}
	plain, secure := testserver.Addr(t), testserver.Addr(t)
	nghttpd(t, p, append(options, "--no-tls", port(plain))...)
	nghttpd(t, p, append(options, port(secure), "key", "cert")...)
	r := newRig(t, c,
		backend{cluster: proxytest.Cluster("ng", plain), route: via("/doc", "ng", "Http2")},
		backend{cluster: proxytest.Cluster("ngs", secure), route: via("/./doc", "ngs", "Http2"), secure: true},
	)
	for _, way := range ways {
		client := goClient(t, r, way.scheme, way.version)
		for _, path := range []string{"/doc", "/./doc"} {
			var wg sync.WaitGroup
			for range 40 { // more than one connection may carry
				wg.Go(func() {
					got := client.do(t, "GET", path, nil, nil)
					if got.status != 200 || got.body != string(document) || got.trailer.Get("X-End") != "done" {
						t.Errorf("%s %s: %d, %d bytes, trailer %v", way.name, path, got.status, len(got.body), got.trailer)
					}
				})
				wg.Go(func() {
					body := noise(70_000)
					if got := client.do(t, "POST", path, body, nil); got.status != 200 || got.body != string(body) {
						t.Errorf("%s %s: POST %d, %d bytes", way.name, path, got.status, len(got.body))
					}
				})
			}
			wg.Wait()
		}
		if got := client.do(t, "GET", "/doc.not", nil, nil); got.status != 404 || got.header.Get("Server") == "" {
			t.Errorf("%s: %d %v", way.name, got.status, got.header)
		}
	}
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// nghttpd starts the server and waits until it listens.
func nghttpd(t *testing.T, p program, args ...string) {
	t.Helper()
	cmd := exec.Command(p.path, args...) //nolint:noctx // ended below
	cmd.Dir, cmd.Stderr = p.dir, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test, however that ends
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan bool, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewReader(out)
		first, _ := lines.ReadString('\n')
		listening <- strings.Contains(first, "listen")
		_, _ = io.Copy(io.Discard, lines)
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	})
	select {
	case ok := <-listening:
		if !ok {
			t.Fatal("nghttpd does not listen")
		}
	case <-soon(t).Done():
		t.Fatal("nghttpd does not begin")
	}
}

// TestWrk: what wrk counts as errors does not happen.
func TestWrk(t *testing.T) {
	p := find(t, "wrk")
	r := newRig(t, newCerts(t))
	for _, url := range []string{"http://" + r.addr + "/h1/doc", "https://" + r.addr + "/h2/sum"} {
		n, out := 0, ""
		for seconds := 1; n < 10 && seconds < 20; seconds *= 4 { // a busy machine makes little of a second
			out = p.must(t, "-t1", "-c20", fmt.Sprintf("-d%ds", seconds), "--timeout", "30s", url)
			if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
				t.Errorf("%s:\n%s", url, out)
			}
			if m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out); m != nil {
				_, _ = fmt.Sscan(m[1], &n)
			}
		}
		if n < 10 { // of 20 connections
			t.Errorf("%d requests in\n%s", n, out)
		}
	}
}
