package http2

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strings"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// tokenH2C is the protocol's name in Upgrade (RFC 7540 section 3.2).
const tokenH2C = "h2c"

// maxOffered is the most settings that an offer may have.
const maxOffered = 64

var _ protocol.Successor = (*server)(nil)

// Predecessor implements protocol.Successor.
func (*server) Predecessor() string { return "Http1" }

// Succeed implements protocol.Successor. parameters is the value of
// HTTP2-Settings: the payload of a SETTINGS frame in base64url.
func (srv *server) Succeed(token, parameters string) protocol.Takeover {
	if token != tokenH2C {
		return nil
	}
	settings, ok := parseOffer(parameters)
	if !ok {
		return nil
	}
	return func(ctx context.Context, c *conn.Conn, h stream.Handler, req *stream.Request) error {
		sc := srv.greet(ctx, c, h)
		defer sc.leave()
		// The answer could go before the preface, but what comes together with
		// the 101 is more than some callers' buffers hold.
		err := sc.readPreface()
		if err == nil {
			err = sc.adopt(settings, req)
		}
		if err == nil {
			err = sc.s.run()
		}
		return sc.end(ctx, err)
	}
}

// parseOffer takes the settings of an offer apart. It reports false for a value
// that is malformed, or that would end a connection in a SETTINGS frame.
func parseOffer(value string) ([]xhttp2.Setting, bool) {
	const size = 6
	if len(value) > base64.RawURLEncoding.EncodedLen(maxOffered*size) || strings.ContainsAny(value, "\r\n") { // which are skipped else
		return nil, false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(payload)%size != 0 {
		return nil, false
	}
	settings := make([]xhttp2.Setting, 0, len(payload)/size)
	for ; len(payload) > 0; payload = payload[size:] {
		v := xhttp2.Setting{ID: xhttp2.SettingID(binary.BigEndian.Uint16(payload)), Val: binary.BigEndian.Uint32(payload[2:])}
		if v.Valid() != nil {
			return nil, false
		}
		settings = append(settings, v)
	}
	return settings, true
}

// adopt makes req the connection's first stream. The settings are those of its
// caller; that they are obeyed was said with the change.
func (sc *serving) adopt(settings []xhttp2.Setting, req *stream.Request) error {
	const first = 1
	s := sc.s
	s.mu.Lock()
	for _, v := range settings {
		if err := s.setting(v); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	s.lastPeer = first
	s.mu.Unlock()
	k := newCall(sc)
	k.req.CopyFrom(req)
	k.x.length, k.req.ContentLength = -1, 0
	k.x.recv.finish(io.EOF)
	sc.start(k, first, true)
	return nil
}
