package zknode

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Two keys never share a node, and every name is one that ZooKeeper takes.
func FuzzPath(f *testing.F) {
	for _, key := range []string{"lock|||app||K", "a/b", "a%2Fb", "..", ".", "", "日本語🗝", "\x00\xff", "\uF8FF"} {
		f.Add(key, key+"/")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		p := Path(a)
		if a != b && p == Path(b) {
			t.Errorf("%q and %q are both %q", a, b, p)
		}
		if !utf8.ValidString(p) || strings.LastIndex(p, "/") != 0 || p == "/." || p == "/.." {
			t.Errorf("%q becomes %q", a, p)
		}
		for _, r := range p {
			if r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0xD800 {
				t.Errorf("%q becomes %q", a, p)
			}
		}
	})
}

func TestPathAsLayotto(t *testing.T) {
	if got := Path("lock|||app||order-1"); got != "/lock|||app||order-1" {
		t.Error(got)
	}
}
