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
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := conn.Pipe()
		cc := conn.New(theirs)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if p, err := protocol.Detect(ctx, cc, words("GET")); p != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v, %v", p, err)
		}
		_ = ours.Close()
		if p, err := protocol.Detect(t.Context(), cc, words("GET")); p != nil || !errors.Is(err, io.EOF) {
			t.Errorf("closed without a word: %v, %v", p, err)
		}
		_ = cc.Close()
		if _, err := protocol.Detect(t.Context(), cc, words("GET")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed on our side: %v", err)
		}
	})
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
