package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func httptestServer(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// raw is a service that answers each request with bytes that are not checked, and
// either closes the connection then or keeps it until the other end does.
type raw struct {
	address string
	mu      sync.Mutex
	open    int // connections
}

func newRaw(t *testing.T, answer string, keep bool) *raw {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{address: l.Addr().String()}
	var wg sync.WaitGroup
	conns := make(map[net.Conn]bool)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			conns[c] = true
			r.open++
			r.mu.Unlock()
			wg.Go(func() {
				r.answer(c, answer, keep)
				r.mu.Lock()
				delete(conns, c)
				r.open--
				r.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		wg.Wait()
	})
	return r
}

func (r *raw) answer(c net.Conn, answer string, keep bool) {
	defer c.Close() //nolint:errcheck // that is the fault
	reader := bufio.NewReader(c)
	for more := true; more; more = keep {
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = reader.ReadString('\n'); err != nil {
				return // the other end has closed
			}
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (r *raw) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// faults are services that misbehave, and what a caller gets to see.
var faults = []struct {
	name   string
	answer string // bytes; "" is silence
	keep   bool   // the connection stays open
	code   codes.Code
	status int    // HTTP status in the error
	text   string // in the error, or the answer's body
}{
	{"200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true, codes.OK, 0, "hi"},
	{"201", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi", true, codes.OK, 0, "hi"},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", true, codes.OK, 0, ""},
	{"body until close", "HTTP/1.1 200 OK\r\n\r\nhi", false, codes.OK, 0, "hi"},
	{"301", "HTTP/1.1 301 Moved Permanently\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", true, codes.Unavailable, 301, "http response code 301"},
	{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", true, codes.Unavailable, 404, "http response code 404, body: nope"},
	{"500", "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", true, codes.Unavailable, 500, "http response code 500, body: oops"},
	{"closes at once", "", false, codes.Unavailable, 0, ""},
	{"closes in the head", "HTTP/1.1 200 OK\r\nContent-Le", false, codes.Unavailable, 0, ""},
	{"closes in the body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it", false, codes.Unavailable, 0, ""},
	{"closes in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf", false, codes.Unavailable, 0, ""},
	{"hangs", "", true, codes.DeadlineExceeded, 0, ""},
	{"hangs in the head", "HTTP/1.1 200 OK\r\nX-A: b\r\n", true, codes.DeadlineExceeded, 0, ""},
	{"hangs in the body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it", true, codes.DeadlineExceeded, 0, ""},
	{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", true, codes.Unavailable, 0, ""},
	{"binary", "\x00\xff\x16\x03\x01\r\n\r\n", true, codes.Unavailable, 0, ""},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", true, codes.Unavailable, 0, ""},
	{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true, codes.Unavailable, 0, ""},
	{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n", true, codes.Unavailable, 0, ""},
	{"bad status", "HTTP/1.1 20x OK\r\n\r\n", true, codes.Unavailable, 0, ""},
	{"huge head", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", true, codes.Unavailable, 0, ""},
}

// Whatever a service does wrong, the caller gets the right code in time, the
// process lives, and nothing stays behind.
func TestFaults(t *testing.T) {
	services := []service{{"refuses", testserver.Addr(t)}}
	backends := make(map[string]*raw)
	for i, f := range faults {
		backends[f.name] = newRaw(t, f.answer, f.keep)
		services = append(services, service{fmt.Sprintf("fault-%d", i), backends[f.name].address})
	}
	p := ottavotest.Start(t, configuration("", services...))
	client := dial(t, p)
	alive(t, client)
	fresh := p.Usage()

	const times = 10
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			timeLimit := callTime
			if f.code == codes.DeadlineExceeded {
				timeLimit = 400 * time.Millisecond
			}
			var wg sync.WaitGroup
			for range times {
				wg.Go(func() {
					start := time.Now()
					resp, err := client.Invoke(timeout(t), fmt.Sprintf("fault-%d", i), &ottavo.Request{Method: "/", Timeout: timeLimit})
					wantOutcome(t, resp, err, f.code, f.status, f.text)
					if took := time.Since(start); took > timeLimit+30*time.Second {
						t.Errorf("it took %s", took)
					}
				})
			}
			wg.Wait()
			alive(t, client)
		})
	}
	t.Run("refuses", func(t *testing.T) {
		resp, err := client.Invoke(timeout(t), "refuses", &ottavo.Request{Method: "/"})
		wantOutcome(t, resp, err, codes.Unavailable, 0, services[0].address)
	})
	t.Run("unknown service", func(t *testing.T) {
		resp, err := client.Invoke(timeout(t), "nobody", &ottavo.Request{Method: "/"})
		wantOutcome(t, resp, err, codes.Unavailable, 0, "no route")
	})
	t.Run("deadline of the caller", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := client.Invoke(ctx, faultID(t, "hangs"), &ottavo.Request{Method: "/"})
		wantOutcome(t, nil, err, codes.DeadlineExceeded, 0, "")
	})
	t.Run("caller goes away", func(t *testing.T) {
		// Earlier connections to this service end first, so that the next is ours.
		hangs := backends["hangs"]
		connected := func(want int) func() error {
			return func() error {
				if n := hangs.connections(); n != want {
					return fmt.Errorf("%d connections, want %d", n, want)
				}
				return nil
			}
		}
		ottavotest.Eventually(t, 2*time.Minute, "calls that ran out of time are cut off", connected(0))
		ctx, cancel := context.WithCancel(timeout(t))
		result := make(chan error, 1)
		go func() {
			_, err := client.Invoke(ctx, faultID(t, "hangs"), &ottavo.Request{Method: "/", Timeout: callTime})
			result <- err
		}()
		ottavotest.Eventually(t, 2*time.Minute, "the call has reached the service", connected(1))
		cancel()
		wantOutcome(t, nil, <-result, codes.Canceled, 0, "")
		ottavotest.Eventually(t, 2*time.Minute, "the call ends at the service, too", connected(0))
	})

	alive(t, client)
	ottavotest.Eventually(t, 2*time.Minute, "nothing is left open", func() error {
		if u := p.Usage(); u.Files > fresh.Files+4 {
			return fmt.Errorf("%d file descriptors, at the start %d", u.Files, fresh.Files)
		}
		return nil
	})
	ottavotest.Eventually(t, 2*time.Minute, "few goroutines are left", func() error {
		if n, dump := p.Goroutines(); n > 80 {
			return fmt.Errorf("%d goroutines:\n%s", n, dump)
		}
		return nil
	})
}

func faultID(t *testing.T, name string) string {
	t.Helper()
	for i, f := range faults {
		if f.name == name {
			return fmt.Sprintf("fault-%d", i)
		}
	}
	t.Fatalf("there is no fault %q", name)
	return ""
}

func wantOutcome(t *testing.T, resp *ottavo.Response, err error, code codes.Code, status int, text string) {
	t.Helper()
	if code == codes.OK {
		if err != nil || string(resp.Data) != text {
			t.Errorf("%+v, %v, want the answer %q", resp, err, text)
		}
		return
	}
	e, ok := errors.AsType[*ottavo.Error](err)
	if !ok || e.Code != code || e.HTTPStatus != status || !strings.Contains(e.Message, text) {
		t.Errorf("%v, want %v, HTTP status %d, %q", err, code, status, text)
	}
}
