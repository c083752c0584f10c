package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Bytes that come with the heads, or before the answer, arrive, wherever the
// writes are cut.
func TestUpgradeEarlyBytes(t *testing.T) {
	const up, down = "early from the caller", "early from the host"
	large := strings.Repeat("0123456789abcdef", 3000)
	for name, write := range map[string]func(w io.Writer, s string){
		"whole":      func(w io.Writer, s string) { _, _ = io.WriteString(w, s) },
		"in bytes":   func(w io.Writer, s string) { each(w, s, 1) },
		"by threes":  func(w io.Writer, s string) { each(w, s, 3) },
		"by hundred": func(w io.Writer, s string) { each(w, s, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := join(t, nil)
				go write(j, offer+up+large)
				h := <-j.host
				h.request(t)
				time.Sleep(50 * time.Millisecond) // the watch has seen that there is more
				go write(h, accepted+down+large)
				j.head(t, accepted+down+large)
				h.gets(t, up+large)
				_ = j.CloseWrite()
				h.over(t)
				_ = h.Close()
				j.closed(t)
				if err := <-j.ended; err != nil {
					t.Error(err)
				}
				j.record(t, fmt.Sprintf("101 in %d out %d: EOF", len(up+large), len(down+large)))
			})
		})
	}
}

func each(w io.Writer, s string, n int) {
	for len(s) > 0 {
		k := min(n, len(s))
		_, _ = io.WriteString(w, s[:k])
		synctest.Wait()
		s = s[k:]
	}
}

// Each direction ends on its own; the connections end with the second.
func TestUpgradeHalfClose(t *testing.T) {
	for _, first := range []string{"caller", "host"} {
		t.Run(first, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				j := join(t, nil)
				h := j.tunnel(t)
				if first == "caller" {
					j.send(t, "last words")
					_ = j.CloseWrite()
					h.gets(t, "last words")
					h.over(t)
					for range 3 {
						time.Sleep(time.Minute)
						h.send(t, "still here")
						j.head(t, "still here")
					}
					_ = h.CloseWrite()
					j.closed(t)
				} else {
					h.send(t, "last words")
					_ = h.CloseWrite()
					j.head(t, "last words")
					j.closed(t)
					for range 3 {
						time.Sleep(time.Minute)
						j.send(t, "still here")
						h.gets(t, "still here")
					}
					_ = j.CloseWrite()
					h.over(t)
				}
				if err := <-j.ended; err != nil {
					t.Error(err)
				}
				if _, err := h.Write([]byte("x")); err == nil {
					t.Error("the host's connection lives on")
				}
				in, out := 10, 30
				if first == "host" {
					in, out = 30, 10
				}
				j.record(t, fmt.Sprintf("101 in %d out %d: EOF", in, out))
			})
		})
	}
}

// The route's time is for the answer; what comes after a 101 may take longer.
func TestUpgradeDeadline(t *testing.T) {
	limit := func(req *stream.Request) { req.Limit(time.Now().Add(time.Second)) }
	bubble(t, func(t *testing.T) {
		j := join(t, limit)
		h := j.tunnel(t)
		for range 5 {
			time.Sleep(time.Hour)
			j.send(t, "up")
			h.gets(t, "up")
			h.send(t, "down")
			j.head(t, "down")
		}
	})
	bubble(t, func(t *testing.T) { // no answer within it
		j := join(t, limit)
		j.send(t, offer)
		h := <-j.host
		h.request(t)
		if a := j.answer(t, "GET"); a.status != 504 {
			t.Errorf("answered %d", a.status)
		}
		h.over(t)
		j.send(t, "GET /next HTTP/1.1\r\nHost: shop\r\n\r\n")
		if req := (<-j.host).request(t); req.URL.Path != "/next" {
			t.Errorf("got %v", req)
		}
	})
}

// A tunnel in which nothing passes is closed after the idle timeout; a byte in
// either direction is enough, also when the other has ended.
func TestUpgradeIdle(t *testing.T) {
	for _, first := range []string{"neither", "caller", "host"} {
		t.Run(first, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const limit = 10 * time.Second
				j := join(t, nil, idle(limit))
				h := j.tunnel(t)
				in, out := 0, 0
				switch first {
				case "caller":
					_ = j.CloseWrite()
				case "host":
					_ = h.CloseWrite()
				}
				for i := range 6 {
					time.Sleep(limit - time.Millisecond)
					if (i%2 == 0 || first == "host") && first != "caller" {
						j.send(t, "up")
						h.gets(t, "up")
						in += 2
					} else {
						h.send(t, "down")
						j.head(t, "down")
						out += 4
					}
				}
				began := time.Now()
				h.over(t)
				if first != "caller" && time.Since(began) != limit {
					t.Errorf("closed after %v", time.Since(began))
				}
				j.closed(t)
				_ = j.Close()
				if err := <-j.ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != limit {
					t.Errorf("it took %v", took)
				}
				want := fmt.Sprintf("101 in %d out %d: timeout: upgraded connection: no byte in either direction for 10s", in, out)
				if first == "host" {
					want = fmt.Sprintf("101 in %d out %d: EOF", in, out)
				}
				j.record(t, want)
			})
		})
	}
}

// The end of the context cuts both sides.
func TestUpgradeCanceled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := join(t, nil)
		h := j.tunnel(t)
		j.send(t, "up")
		h.gets(t, "up")
		began := time.Now()
		j.cancel()
		h.over(t)
		j.closed(t)
		if err := <-j.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		j.record(t, "101 in 2 out 0: downstream canceled")
	})
}

// Draining leaves a tunnel alone.
func TestUpgradeDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := join(t, nil)
		h := j.tunnel(t)
		j.c.Drain()
		time.Sleep(time.Hour)
		j.send(t, "up")
		h.gets(t, "up")
		h.send(t, "down")
		j.head(t, "down")
		_ = h.Close()
		j.closed(t)
		_ = j.Close()
		if err := <-j.ended; err != nil {
			t.Error(err)
		}
	})
}

// A side that has gone takes the other with it.
func TestUpgradeGone(t *testing.T) {
	for _, gone := range []string{"caller", "host"} {
		for _, speaks := range []string{"nobody", "the other", "both"} {
			t.Run(gone+", "+speaks+" speaks", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					j := join(t, nil, idle(time.Minute))
					h := j.tunnel(t)
					var here, there io.ReadWriteCloser = j.PipeConn, h.PipeConn
					if gone == "host" {
						here, there = there, here
					}
					if speaks == "both" {
						_, _ = here.Write([]byte("bye"))
					}
					_ = here.Close()
					began := time.Now()
					if speaks != "nobody" {
						for err := error(nil); err == nil; time.Sleep(time.Millisecond) {
							_, err = there.Write(bytes.Repeat([]byte("x"), 1000))
						}
						if took := time.Since(began); took > time.Second {
							t.Errorf("noticed after %v", took)
						}
					}
					_, _ = io.Copy(io.Discard, there)
					if err := <-j.ended; err != nil {
						t.Logf("ended with %v", err)
					}
					if took := time.Since(began); took > time.Minute+time.Second {
						t.Errorf("ended after %v", took)
					}
				})
			})
		}
	}
}

// A side that takes nothing is cut off after the write timeout.
func TestUpgradeStalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := join(t, nil, stall(10*time.Second), idle(time.Hour))
		h := j.tunnel(t)
		began := time.Now()
		n, err := 0, error(nil)
		for err == nil {
			var k int
			k, err = h.Write(make([]byte, 1000))
			n += k
		}
		if took := time.Since(began); took < 7*time.Second || took > 11*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if n > 400<<10 {
			t.Errorf("%d bytes were taken from the host", n)
		}
		if err := <-j.ended; !timedOut(err) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A handler may answer 101 itself.
func TestUpgradeByHandler(t *testing.T) {
	for name, c := range map[string]struct {
		resp   stream.Response
		status int
	}{
		"good":             {stream.Response{Status: 101, Upgrade: "X"}, 101},
		"another protocol": {stream.Response{Status: 101, Upgrade: "y"}, 500},
		"none":             {stream.Response{Status: 101}, 500},
		"bad field":        {stream.Response{Status: 426, Upgrade: "y\r\nA: b"}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reading := make(chan string, 1)
				s := serve(t, stream.HandlerFunc(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
					r, w := io.Pipe()
					tunnel := req.Tunnel
					go func() { // reads too early: it waits
						b, err := io.ReadAll(tunnel)
						_, _ = w.Write([]byte("bye"))
						_ = w.Close()
						_ = tunnel.Close()
						_ = tunnel.Close()
						reading <- fmt.Sprint(string(b), err)
					}()
					resp := c.resp
					resp.Body, resp.ContentLength = r, -1
					return &resp, nil
				}))
				s.send(t, offer+"hello")
				if c.status != 101 {
					if a := s.answer(t, "GET"); a.status != c.status {
						t.Errorf("answered %d", a.status)
					}
					s.answer(t, "GET") // "hello" is no request
					if got := <-reading; got != errClosedBody.Error() {
						t.Errorf("read %q", got)
					}
					return
				}
				s.head(t, strings.Replace(accepted, "Upgrade: x", "Upgrade: X", 1))
				_ = s.CloseWrite()
				if got := s.rest(t); got != "bye" {
					t.Errorf("got %q", got)
				}
				if got := <-reading; got != "hello<nil>" {
					t.Errorf("read %q", got)
				}
			})
		})
	}
}

// What breaks off on one side breaks off on the other: over TCP nobody takes a
// reset for an end in order.
func TestUpgradeReset(t *testing.T) {
	for _, who := range []string{"caller", "host"} {
		t.Run(who, func(t *testing.T) {
			seen := make(chan error, 1)
			await := func(nc net.Conn) {
				_, err := io.Copy(io.Discard, nc)
				seen <- err
			}
			reset := func(nc net.Conn) {
				_ = nc.(*net.TCPConn).SetLinger(0)
				_ = nc.Close()
			}
			host := accept(t, func(nc net.Conn) {
				defer func() { _ = nc.Close() }()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				r := bufio.NewReader(nc)
				if _, err := http.ReadRequest(r); err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(nc, accepted)
				var b [5]byte
				if _, err := io.ReadFull(r, b[:]); err != nil {
					t.Error(err)
				}
				if who == "host" {
					reset(nc)
				} else {
					_, _ = nc.Write(b[:])
					await(nc)
				}
			})
			nc, err := net.Dial("tcp", listen(t, &forward{dial: func() (net.Conn, error) { return net.Dial("tcp", host) }}))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(nc, offer+"hello")
			r := bufio.NewReader(nc)
			switched(t, r)
			if who == "host" {
				await(nc)
			} else {
				var b [5]byte
				_, _ = io.ReadFull(r, b[:])
				reset(nc)
			}
			if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side saw %v", err)
			}
		})
	}
}
