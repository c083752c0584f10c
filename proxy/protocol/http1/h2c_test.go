package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// changer answers requests, and takes connections over that offer "good".
type changer struct {
	t     testing.TB
	taken chan string
}

func (c *changer) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	for name, value := range req.Header.All() {
		if stream.EqualName(name, settingsField) {
			c.t.Errorf("%s: %s is passed on", name, value)
		}
	}
	return echo(ctx, req)
}

func (c *changer) Change(token, parameters string) func(context.Context, *conn.Conn, *stream.Request) error {
	if token != "h2c" || parameters != "good" {
		return nil
	}
	return func(_ context.Context, nc *conn.Conn, req *stream.Request) error {
		c.taken <- fmt.Sprintf("%s %s %s?%s %s=%s %d", req.Method, req.Authority, req.Path, req.Query, req.Header.At(0).Name, req.Header.At(0).Value, req.Header.Len())
		line, err := nc.Reader().ReadString('\n')
		if err == nil {
			_, err = io.WriteString(nc, strings.ToUpper(line))
		}
		return err
	}
}

func TestChangeToHTTP2(t *testing.T) {
	const fields = "Host: h\r\nX-A: b\r\n"
	const good = "GET /p?q HTTP/1.1\r\n" + fields + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: good\r\n\r\n"
	const taken = "GET h /p?q X-A=b 1"
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct {
		name, raw string
		want      string // what the successor was given; "" is an ordinary answer
		setup     func(*conn.Conn)
	}{
		{name: "plain", raw: good, want: taken},
		{name: "POST without body", raw: replace("GET", "POST"), want: strings.Replace(taken, "GET", "POST", 1)},
		{name: "empty body", raw: replace("X-A", "Content-Length: 0\r\nX-A"), want: taken},
		{name: "several fields", raw: replace("Upgrade, HTTP2-Settings", "http2-settings\r\nConnection: keep-alive, upgrade"), want: taken},
		{name: "other hidden protocols", raw: replace(": h2c", ": TLS/1.2, H2C"), want: taken},
		{name: "absolute target", raw: replace("/p?q", "http://h/p?q"), want: taken},
		{name: "empty line before", raw: "\r\n" + good, want: taken},

		{name: "bad settings", raw: replace("good", "bad")},
		{name: "no settings", raw: replace("HTTP2-Settings: good\r\n", "")},
		{name: "empty settings", raw: replace("good", "")},
		{name: "two settings", raw: replace("HTTP2-Settings: good", "HTTP2-Settings: good\r\nHTTP2-Settings: good")},
		{name: "two settings, the second empty", raw: replace("HTTP2-Settings: good", "HTTP2-Settings: good\r\nHTTP2-Settings:")},
		{name: "two settings, the first empty", raw: replace("HTTP2-Settings: good", "HTTP2-Settings:\r\nHTTP2-Settings: good")},
		{name: "three settings", raw: replace("HTTP2-Settings: good", "HTTP2-Settings: good\r\nHTTP2-Settings:\r\nHTTP2-Settings: good")},
		{name: "settings in a list", raw: replace("good", "good, good")},
		{name: "settings not in Connection", raw: replace(", HTTP2-Settings", "")},
		{name: "upgrade not in Connection", raw: replace("Upgrade, HTTP2-Settings", "HTTP2-Settings")},
		{name: "no Upgrade", raw: replace("Upgrade: h2c\r\n", "")},
		{name: "h2", raw: replace(": h2c", ": h2")},
		{name: "websocket, too", raw: replace(": h2c", ": h2c, websocket")},
		{name: "close", raw: replace("Upgrade, HTTP2", "close, Upgrade, HTTP2")},
		{name: "HTTP/1.0", raw: replace("HTTP/1.1", "HTTP/1.0")},
		{name: "body", raw: replace("X-A", "Content-Length: 5\r\nX-A") + "hello"},
		{name: "chunked", raw: replace("X-A", "Transfer-Encoding: chunked\r\nX-A") + "5\r\nhello\r\n0\r\n\r\n"},
		{name: "draining", raw: good, setup: func(c *conn.Conn) { c.Drain() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := &changer{t, make(chan string, 1)}
				s := serve(t, h)
				if c.setup != nil {
					c.setup(s.c)
				}
				s.send(t, c.raw)
				if c.want == "" {
					s.answerTo(t)
					if len(h.taken) > 0 {
						t.Errorf("taken over: %s", <-h.taken)
					}
					return
				}
				const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
				got := make([]byte, len(head))
				if _, err := io.ReadFull(s.r, got); err != nil || string(got) != head {
					t.Fatalf("%q, %v", got, err)
				}
				if got := <-h.taken; got != c.want {
					t.Errorf("the first request is %q, want %q", got, c.want)
				}
				time.Sleep(time.Hour) // no time limit is left over
				s.send(t, "hello\n")
				if line, err := s.r.ReadString('\n'); err != nil || line != "HELLO\n" {
					t.Errorf("%q, %v", line, err)
				}
				if err := <-s.ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
	// What is sent with the request is not lost, and the end of the context ends it.
	bubble(t, func(t *testing.T) {
		h := &changer{t, make(chan string, 1)}
		s := serve(t, h)
		s.send(t, good+"early\n")
		rest, err := io.ReadAll(s.r)
		if !strings.HasSuffix(string(rest), "\r\n\r\nEARLY\n") || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		s = serve(t, &changer{t, make(chan string, 1)})
		s.send(t, good)
		time.Sleep(time.Second)
		s.cancel()
		if err := <-s.ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("canceled: %v", err)
		}
		// Nobody to change to.
		s = serve(t, stream.HandlerFunc(echo))
		s.send(t, good)
		s.want(t, 200, "GET /p?q ")
	})
}

// answerTo reads one ordinary answer.
func (s *served) answerTo(t *testing.T) {
	t.Helper()
	if line, err := s.r.Peek(len("HTTP/1.1 200")); err != nil || string(line) != "HTTP/1.1 200" {
		t.Fatalf("%q, %v", line, err)
	}
	s.answer(t, "GET")
}
