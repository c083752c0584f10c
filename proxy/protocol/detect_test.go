package protocol_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// word is a protocol that begins with a certain word.
type word struct {
	protocol.Protocol
	name string
}

func (w word) Name() string { return w.name }

func (w word) Match(prefix []byte) protocol.Verdict {
	switch {
	case bytes.HasPrefix(prefix, []byte(w.name)):
		return protocol.Match
	case strings.HasPrefix(w.name, string(prefix)):
		return protocol.More
	}
	return protocol.No
}

func words(names ...string) (list []protocol.Protocol) {
	for _, n := range names {
		list = append(list, word{name: n})
	}
	return list
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name  string
		list  []protocol.Protocol
		sent  string
		end   bool // the peer ends its direction afterwards
		want  string
		after time.Duration
	}{
		{name: "whole word", list: words("GET", "PRI"), sent: "GET / HTTP/1.1", want: "GET"},
		{name: "second", list: words("GET", "PRI"), sent: "PRI * HTTP/2.0", want: "PRI"},
		{name: "none", list: words("GET", "PRI"), sent: "SSH-2.0", want: ""},
		{name: "earlier one may still match", list: words("GETTY", "GET"), sent: "GETT", want: "GET", after: 15 * time.Second},
		{name: "earlier one does not match after all", list: words("GETTY", "GET"), sent: "GETTA", want: "GET"},
		{name: "silence", list: words("GET"), sent: "", want: "", after: 15 * time.Second},
		{name: "too little", list: words("GET"), sent: "GE", want: "", after: 15 * time.Second},
		{name: "too little, then the end", list: words("GET"), sent: "GE", end: true, want: ""},
		{name: "no protocols", sent: "x", want: ""},
		{name: "a long prefix", list: words(strings.Repeat("x", 300)), sent: strings.Repeat("x", 300), want: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := conn.Pipe()
				defer func() { _ = ours.Close() }()
				written := make(chan struct{})
				go func() {
					defer close(written)
					for _, b := range []byte(c.sent) { // one byte at a time
						_, _ = ours.Write([]byte{b})
						synctest.Wait()
					}
					if c.end {
						_ = ours.(interface{ CloseWrite() error }).CloseWrite()
					}
				}()
				cc := conn.New(theirs)
				defer func() { _ = cc.Close() }()
				start := time.Now()
				p, err := protocol.Detect(t.Context(), cc, c.list)
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if p != nil {
					got = p.Name()
				}
				if got != c.want || time.Since(start) != c.after {
					t.Errorf("%q after %v, want %q after %v", got, time.Since(start), c.want, c.after)
				}
				// Nothing that was looked at is lost.
				<-written
				held := make([]byte, len(c.sent))
				if _, err := io.ReadFull(cc, held); err != nil || string(held) != c.sent {
					t.Errorf("%q, %v is left of %q", held, err, c.sent)
				}
			})
		})
	}
}

func TestDetectEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(ours net.Conn, c *conn.Conn, cancel func())
		want  error
		after time.Duration
	}{
		{"canceled", func(_ net.Conn, _ *conn.Conn, cancel func()) { cancel() }, context.Canceled, 0},
		{"closed without a word", func(ours net.Conn, _ *conn.Conn, _ func()) { _ = ours.Close() }, io.EOF, 0},
		{"closed on our side", func(_ net.Conn, c *conn.Conn, _ func()) { _ = c.Close() }, net.ErrClosed, 0},
		{"draining", func(_ net.Conn, c *conn.Conn, _ func()) { c.Drain() }, conn.ErrDraining, conn.LastCall},
		{"canceled in the middle", func(ours net.Conn, _ *conn.Conn, cancel func()) {
			_, _ = ours.Write([]byte("G"))
			time.AfterFunc(time.Second, cancel)
		}, context.Canceled, time.Second},
		{"recognised when draining", func(ours net.Conn, c *conn.Conn, _ func()) {
			c.Drain()
			time.AfterFunc(conn.LastCall-1, func() { _, _ = ours.Write([]byte("GET")) })
		}, nil, conn.LastCall - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := conn.Pipe()
				cc := conn.New(theirs)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var begin time.Time
				time.AfterFunc(time.Second, func() {
					begin = time.Now()
					c.do(ours, cc, cancel)
				})
				p, err := protocol.Detect(ctx, cc, words("GET"))
				if (p != nil) != (c.want == nil) || !errors.Is(err, c.want) || time.Since(begin) != c.after {
					t.Errorf("%v, %v after %v", p, err, time.Since(begin))
				}
				_ = cc.Close()
				_ = ours.Close()
			})
		})
	}
}

// FuzzDetect: whatever comes, detection ends with a verdict and loses no byte.
func FuzzDetect(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 32<<10 {
			return
		}
		ours, theirs := conn.Pipe()
		_, _ = ours.Write(data)
		_ = ours.Close()
		cc := conn.New(theirs)
		defer func() { _ = cc.Close() }()
		p, err := protocol.Detect(t.Context(), cc, words("GET", "PRI * HTTP/2.0", "\x01", "\xda\xbb"))
		if err != nil && len(data) > 0 {
			t.Fatalf("%v", err)
		}
		if p != nil && !bytes.HasPrefix(data, []byte(p.Name())) {
			t.Fatalf("%q is not %s", data, p.Name())
		}
		left, err := io.ReadAll(cc)
		if err != nil || !bytes.Equal(left, data) {
			t.Fatalf("%q, %v is left of %q", left, err, data)
		}
	})
}
