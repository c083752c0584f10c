package zookeeper

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzNodeName: every key has a name that ZooKeeper takes, and can be told from it.
func FuzzNodeName(f *testing.F) {
	for _, key := range []string{"a", "app||key", "a/b", "..", ".", "zookeeper", "%2F", "/", "\xff", "日本", "🗝", "\x00", "e\u0301", "\u0085"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		name := nodeName(key)
		if strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			t.Fatalf("key %q has the name %q", key, name)
		}
		if back, err := url.PathUnescape(name); err != nil || back != key {
			t.Fatalf("key %q has the name %q, which says %q (%v)", key, name, back, err)
		}
	})
}
