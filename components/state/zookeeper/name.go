package zookeeper

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// nodeName is the name of a key's node: the key, with what a name must not hold as
// %XX, each byte. Different keys have different names.
func nodeName(key string) string {
	switch key {
	case ".", "..", "zookeeper": // the last is the server's own, in the tree's root
		return fmt.Sprintf("%%%02X%s", key[0], key[1:])
	}
	var b strings.Builder
	for i := 0; i < len(key); {
		r, n := utf8.DecodeRuneInString(key[i:])
		if allowed(r, n) {
			b.WriteString(key[i : i+n])
		} else {
			for _, c := range []byte(key[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		i += n
	}
	return b.String()
}

// allowed tells whether a character may stand in a node's name as it is: ZooKeeper
// refuses some ranges, "/" begins another name, and "%" is our mark.
func allowed(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size <= 1, r == '/', r == '%':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f, r >= 0xd800 && r <= 0xf8ff, r >= 0xfff0 && r <= 0xffff:
		return false
	}
	// Beyond 16 bits a character is two of Java's, from a range that is refused.
	return r <= 0xffff
}
