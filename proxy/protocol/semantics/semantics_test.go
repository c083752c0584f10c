package semantics

import (
	"io"
	"testing"
	"testing/iotest"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestParseLength(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "7": 7, "00012": 12, "999999999999999999": 999999999999999999,
		"": -1, "1000000000000000000": -1, "+1": -1, "-1": -1, " 1": -1, "1 ": -1, "0x1": -1, "1,1": -1, "１": -1, "1_0": -1,
	} {
		if n, ok := ParseLength(s); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v", s, n, ok)
		}
	}
}

func TestVisible(t *testing.T) {
	for s, want := range map[string]bool{"": true, "/a?b=%20": true, "/ä": true, "/a b": false, "/a\x7f": false, "/a\t": false, "/a#b": false, "\x00": false} {
		if got := Visible(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestNotInTrailer(t *testing.T) {
	for name, want := range map[string]bool{"cookie": true, "Set-Cookie": true, "VARY": true, "trailer": true, "x-sum": false, "grpc-status": false, "": false} {
		if got := NotInTrailer(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestNoBody(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		want   bool
	}{{"GET", 200, false}, {"HEAD", 200, true}, {"GET", 204, true}, {"POST", 304, true}, {"GET", 404, false}, {"GET", 101, true}} {
		if got := NoBody(c.method, c.status); got != c.want {
			t.Errorf("%s %d: %v", c.method, c.status, got)
		}
	}
}

func TestTextResponse(t *testing.T) {
	resp := TextResponse(404, "not here")
	if resp.Status != 404 || resp.ContentLength != 9 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !stream.BodyReady(resp.Body) {
		t.Errorf("%+v", resp)
	}
	if b, err := io.ReadAll(iotest.OneByteReader(resp.Body)); string(b) != "not here\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
