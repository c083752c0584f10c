package http2

import (
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The fields that this hop deals with itself.
type fieldKind uint8

const (
	fieldOther         fieldKind = iota
	fieldForbidden               // belongs to HTTP/1 connections: malformed here
	fieldTE                      // "trailers" only
	fieldContentLength           // becomes ContentLength
	fieldHost                    // becomes Authority
	fieldExpect                  // answered by this hop
	fieldHop                     // for this hop only; dropped
)

// kinds is never written.
var kinds = map[string]fieldKind{
	"connection": fieldForbidden, "keep-alive": fieldForbidden, "proxy-connection": fieldForbidden,
	"transfer-encoding": fieldForbidden, "upgrade": fieldForbidden, "http2-settings": fieldForbidden,
	"te": fieldTE, "content-length": fieldContentLength, "host": fieldHost, "expect": fieldExpect,
	"proxy-authenticate": fieldHop, "proxy-authorization": fieldHop,
}

// special says what is to be done with a field, whatever the case of its name.
func special(name string) fieldKind {
	// The lengths that occur above: most fields end here.
	switch len(name) {
	case 2, 4, 6, 7, 10, 14, 16, 17, 18, 19:
	default:
		return fieldOther
	}
	if hasUpper(name) {
		name = strings.ToLower(name)
	}
	return kinds[name]
}

// forbiddenTrailer reports whether a field may not stand in a trailer.
func forbiddenTrailer(name string) bool {
	return special(name) != fieldOther || semantics.NotInTrailer(name)
}

// secrets are the names of fields whose values must not enter a compression
// table (RFC 7541 section 7.1.3), as far as we would put them there.
type secrets []string

func (s secrets) has(name string) bool {
	for _, n := range s {
		if n == name {
			return true
		}
	}
	return false
}

// validField reports whether a field may stand in an HTTP/2 message.
func validField(name, value string) bool {
	return !hasUpper(name) && httpguts.ValidHeaderFieldName(name) && validValue(value)
}

// validValue reports whether s has neither control characters nor blanks at
// its ends (RFC 9113 section 8.2.1).
func validValue(s string) bool {
	if s == "" {
		return true
	}
	if blank(s[0]) || blank(s[len(s)-1]) {
		return false
	}
	return httpguts.ValidHeaderFieldValue(s)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// validAuthority reports whether s may be a host with or without port (RFC
// 3986 section 3.2); user information is not allowed.
func validAuthority(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') &&
			strings.IndexByte("!$%&'()*+,;=-._~:[]", c) < 0 {
			return false
		}
	}
	return true
}

// isGRPC reports whether a message is gRPC's.
func isGRPC(h *stream.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "application/grpc")
}
