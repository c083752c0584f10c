package router

import "strings"

// visible reports whether s has only visible ASCII characters.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// pathText reports whether s can stand in a path.
func pathText(s string) bool { return visible(s) && !strings.ContainsAny(s, "?#") }

// validHost reports whether s can stand in Host, with or without port (RFC
// 3986 section 3.2, without user information); "" can.
func validHost(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("!$%&'()*+,;=-._~:[]", s[i]) < 0 {
			return false
		}
	}
	return true
}

// isToken reports whether s can be the name of a header field (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
