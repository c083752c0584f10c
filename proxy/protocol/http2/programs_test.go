package http2

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// proxied listens, and forwards to a second server with h behind it.
func proxied(t testing.TB, h stream.HandlerFunc) (addr string) {
	behind := listen(t, protocol.ServerOptions{}, h)
	return listen(t, protocol.ServerOptions{}, (&forward{t: t, addr: behind}).Handle)
}

// program runs a foreign program and returns what it prints.
func program(t *testing.T, stdin []byte, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestCurl(t *testing.T) {
	url := "http://" + proxied(t, echo) + "/a?b=c"
	if got := program(t, nil, "curl", "-sS", "--http2-prior-knowledge", "-H", "x-a: v", "-w", " %{http_version} %{http_code}", url); got != "GET /a?b=c v 2 200" {
		t.Error(got)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if got := program(t, body, "curl", "-sS", "--http2-prior-knowledge", "-H", "expect: 100-continue", "--data-binary", "@-", url); got != string(body) {
		t.Error(len(got))
	}
	if got := program(t, body, "curl", "-sS", "--http2-prior-knowledge", "-T", "-", url); got != string(body) {
		t.Error(len(got))
	}
	if got := program(t, nil, "curl", "-sSI", "--http2-prior-knowledge", url); !strings.Contains(got, "HTTP/2 200") || !strings.Contains(got, "content-length: 12") {
		t.Error(got)
	}
}

func TestNghttp(t *testing.T) {
	url := "http://" + proxied(t, echo) + "/"
	got := program(t, []byte("some text"), "nghttp", "-v", "--data=-", "--trailer=x-sum: 42", url)
	for _, want := range []string{":status: 200", "some text", "x-sum: 42"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestH2load(t *testing.T) {
	url := "http://" + proxied(t, fixed(1024)) + "/"
	n := "20000"
	if raceEnabled || testing.Short() {
		n = "2000"
	}
	got := program(t, nil, "h2load", "-n", n, "-c", "5", "-m", "100", url)
	if !strings.Contains(got, n+" succeeded, 0 failed, 0 errored") {
		t.Error(got)
	}
	t.Log(got)
}
