package router

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// hashSource is a value of the request that its host is chosen by: that of a
// header field, that of a cookie, or, if neither is named, the caller's address.
type hashSource struct {
	header string
	cookie string
	// attributes are what follows name and value of a cookie that is made here.
	attributes string
}

// hash sets req.Hash by the first of the sources that yields a value; no
// sources means the caller's address. A cookie
// that the caller has not always does: one is made, and returned in the form
// of a Set-Cookie field; else setCookie is "".
//
// The hash of a value is the same in every process.
func hash(sources []hashSource, req *stream.Request, random func() uint64) (setCookie string) {
	req.Hash, req.Hashed = 0, false
	for i := range sources {
		s := &sources[i]
		switch {
		case s.header != "":
			if value, ok := req.Header.Lookup(s.header); ok {
				req.Hash, req.Hashed = xxhash.Sum64String(value), true
				return ""
			}
		case s.cookie != "":
			value, ok := variable.Cookie(&req.Header, s.cookie)
			if !ok || value == "" {
				value = randomText(random)
				setCookie = s.cookie + "=" + value + s.attributes
			}
			req.Hash, req.Hashed = xxhash.Sum64String(value), true
			return setCookie
		default:
			if hashAddress(req) {
				return ""
			}
		}
	}
	if len(sources) == 0 {
		hashAddress(req)
	}
	return ""
}

// hashAddress sets req.Hash by the caller's IP address, and reports whether it has one.
func hashAddress(req *stream.Request) bool {
	if strings.IndexByte(req.Info.Downstream, ':') < 0 {
		return false // a pipe, for which an error would only be made
	}
	at, err := netip.ParseAddrPort(req.Info.Downstream)
	if err != nil {
		return false
	}
	bytes := at.Addr().As16() // the same for IPv4 and for what stands for it in IPv6
	req.Hash, req.Hashed = xxhash.Sum64(bytes[:]), true
	return true
}

// randomText returns 32 random digits.
func randomText(random func() uint64) string {
	b := make([]byte, 0, 32)
	for range 2 {
		const one = 1 << 60 // so that there are 16 digits
		b = strconv.AppendUint(b, random()|one, 16)
	}
	return string(b)
}

func (c *compiler) hashSources(list []config.HashPolicy, path string) []hashSource {
	var sources []hashSource
	for i, h := range list {
		at := decode.At(path, i)
		given := 0
		var s hashSource
		if h.Header != nil {
			given++
			s.header = h.Header.Key
			if !isToken(s.header) {
				c.fail(at+".header.key", "name the header field", "%q is no name of a header field", s.header)
			}
		}
		if h.Cookie != nil {
			given++
			s.cookie, s.attributes = h.Cookie.Name, c.cookie(h.Cookie, at+".cookie")
		}
		if h.SourceIP != nil {
			given++
		}
		switch given {
		case 0:
			c.fail(at, "known: header, cookie, source_ip", "does not say what to choose the host by")
		case 1:
		default:
			c.fail(at, "make several entries of it; the first that yields a value counts", "has more than one of header, cookie and source_ip")
		}
		sources = append(sources, s)
		if h.Header == nil && i < len(list)-1 {
			c.warn(decode.At(path, i+1), "leave it out", "is never used: the entry before it always yields a value")
			break
		}
	}
	return sources
}

// cookie checks a cookie and returns its attributes.
func (c *compiler) cookie(cfg *config.HashCookie, path string) string {
	if !isToken(cfg.Name) {
		c.fail(path+".name", "name the cookie", "%q is no name of a cookie", cfg.Name)
	}
	if !visible(cfg.Path) || strings.Contains(cfg.Path, ";") {
		c.fail(path+".path", `"/" for all paths`, "%q is no path", cfg.Path)
	}
	attributes := ""
	if cfg.Path != "" {
		attributes += "; Path=" + cfg.Path
	}
	switch {
	case cfg.TTL < 0:
		c.fail(path+".ttl", "0 is the browser's session", "must not be negative, is %v", cfg.TTL)
	case cfg.TTL > 0:
		attributes += "; Max-Age=" + strconv.FormatInt(int64(max(1, cfg.TTL/time.Second)), 10)
	}
	return attributes + "; HttpOnly"
}
