package transcoder

import (
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Header fields that mean the same in all RPC protocols here, and SOFA's.
const (
	serviceField = "service"
	methodField  = "method"
	sofaService  = "sofa_head_target_service"
	sofaMethod   = "sofa_head_method_name"
)

// ofMessage reports whether a header field is about one HTTP message or the
// connection that it came by, and means nothing in another protocol.
func ofMessage(name string) bool {
	for _, prefix := range [...]string{"accept", "content-", "if-", "proxy-"} {
		if len(name) >= len(prefix) && stream.EqualName(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, n := range [...]string{
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host", "range", "date",
		"server", "age", "cache-control", "etag", "expires", "last-modified", "vary", "http2-settings",
	} {
		if stream.EqualName(name, n) {
			return true
		}
	}
	return false
}

// ofFrame reports whether a field stands for a part of a frame.
func ofFrame(name string) bool {
	for _, n := range [...]string{frame.StatusField, bolt.ClassField, bolt.CodecField, dubbo.SerializationField} {
		if stream.EqualName(name, n) {
			return true
		}
	}
	return false
}

// dropWeb drops what belongs to HTTP alone, and status, which no caller decides.
func dropWeb(h *stream.Header) {
	h.DelFunc(func(f stream.Field) bool { return ofMessage(f.Name) || stream.EqualName(f.Name, frame.StatusField) })
}

// dropRPC drops what cannot be said in HTTP, or would mean something else there.
func dropRPC(h *stream.Header) {
	h.DelFunc(func(f stream.Field) bool { return !sayable(f) || ofMessage(f.Name) || ofFrame(f.Name) })
}

// sayable reports whether a field can stand in an HTTP message.
func sayable(f stream.Field) bool {
	if f.Name == "" {
		return false
	}
	for i := range len(f.Name) {
		switch c := f.Name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(f.Value, " \t") == f.Value
}

// copySayable adds the fields of from that HTTP can say, but those for which skip
// returns true; skip may be nil.
func copySayable(to, from *stream.Header, skip func(name string) bool) {
	for name, value := range from.All() {
		if f := (stream.Field{Name: name, Value: value}); sayable(f) && !ofMessage(name) && (skip == nil || !skip(name)) {
			to.Add(name, value)
		}
	}
}

// copyWeb adds the fields of an HTTP message that mean something elsewhere.
func copyWeb(to, from *stream.Header) {
	for name, value := range from.All() {
		if !ofMessage(name) && !ofFrame(name) {
			to.Add(name, value)
		}
	}
}
