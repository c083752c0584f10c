package tlscontext

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// suite is a cipher suite by the name that configurations use.
type suite struct {
	id   uint16
	weak bool // CBC without encrypt-then-MAC, RSA key exchange, 3DES
}

// suites are the names known to MOSN's users, and their IDs in crypto/tls.
var suites = map[string]suite{
	"ECDHE-ECDSA-AES256-GCM-SHA384":      {tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, false},
	"ECDHE-RSA-AES256-GCM-SHA384":        {tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, false},
	"ECDHE-ECDSA-AES128-GCM-SHA256":      {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false},
	"ECDHE-RSA-AES128-GCM-SHA256":        {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false},
	"ECDHE-ECDSA-WITH-CHACHA20-POLY1305": {tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false},
	"ECDHE-RSA-WITH-CHACHA20-POLY1305":   {tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false},
	"ECDHE-RSA-AES256-CBC-SHA":           {tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, true},
	"ECDHE-RSA-AES128-CBC-SHA":           {tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, true},
	"ECDHE-ECDSA-AES256-CBC-SHA":         {tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, true},
	"ECDHE-ECDSA-AES128-CBC-SHA":         {tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, true},
	"RSA-AES256-CBC-SHA":                 {tls.TLS_RSA_WITH_AES_256_CBC_SHA, true},
	"RSA-AES128-CBC-SHA":                 {tls.TLS_RSA_WITH_AES_128_CBC_SHA, true},
	"ECDHE-RSA-3DES-EDE-CBC-SHA":         {tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, true},
	"RSA-3DES-EDE-CBC-SHA":               {tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, true},
}

// noSuites are names that MOSN knows and that crypto/tls has no code for.
var noSuites = map[string]bool{"ECDHE-RSA-SM4-SM3": true, "ECDHE-ECDSA-SM4-SM3": true}

var curves = map[string]tls.CurveID{"x25519": tls.X25519, "p256": tls.CurveP256, "p384": tls.CurveP384, "p521": tls.CurveP521}

var versions = map[string]uint16{
	"": 0, "TLS_AUTO": 0,
	"TLS1.0": tls.VersionTLS10, "TLS1.1": tls.VersionTLS11, "TLS1.2": tls.VersionTLS12, "TLS1.3": tls.VersionTLS13,
	"TLSV1_0": tls.VersionTLS10, "TLSV1_1": tls.VersionTLS11, "TLSV1_2": tls.VersionTLS12, "TLSV1_3": tls.VersionTLS13,
}

// problems collects what is wrong with a context.
type problems struct {
	path     string
	errs     decode.Problems
	warnings decode.Problems
}

func (p *problems) fail(key, remedy, format string, args ...any) {
	p.errs = append(p.errs, p.problem(key, remedy, format, args...))
}

func (p *problems) warn(key, remedy, format string, args ...any) {
	p.warnings = append(p.warnings, p.problem(key, remedy, format, args...))
}

// problem is something wrong with one key, or, "", with the whole context.
func (p *problems) problem(key, remedy, format string, args ...any) decode.Problem {
	path := p.path
	if key != "" {
		path = decode.Join(path, key)
	}
	return decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// base makes the part of a tls.Config that names decide.
func base(cfg config.TLS, p *problems) *tls.Config {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if v := version("min_version", cfg.MinVersion, p); v >= tls.VersionTLS12 || v != 0 && cfg.AllowWeak {
		out.MinVersion = v
	} else if v != 0 {
		p.warn("min_version", "allow_weak: true would allow it", "%s is no longer secure; TLS1.2 is the lowest version used", cfg.MinVersion)
	}
	if v := version("max_version", cfg.MaxVersion, p); v != 0 {
		if out.MaxVersion = v; v < out.MinVersion {
			p.fail("max_version", "raise it, or set allow_weak: true and lower min_version", "%s is below the lowest version", cfg.MaxVersion)
		}
	}
	out.CipherSuites = cipherSuites(cfg, p)
	for name := range list(cfg.ECDHCurves, ",:") {
		id, ok := curves[strings.ToLower(name)]
		if !ok {
			p.fail("ecdh_curves", "known: x25519, p256, p384, p521", "unknown curve %q", name)
			continue
		}
		out.CurvePreferences = append(out.CurvePreferences, id)
	}
	for name := range list(cfg.ALPN, ",") {
		out.NextProtos = append(out.NextProtos, name)
	}
	return out
}

func version(key, name string, p *problems) uint16 {
	v, ok := versions[strings.ToUpper(name)]
	if !ok {
		p.fail(key, "known: TLS1.0, TLS1.1, TLS1.2, TLS1.3", "unknown version %q", name)
	}
	return v
}

func cipherSuites(cfg config.TLS, p *problems) (ids []uint16) {
	for name := range list(cfg.CipherSuites, ":,") {
		s, ok := suites[strings.ToUpper(name)]
		switch {
		case noSuites[strings.ToUpper(name)]:
			p.warn("cipher_suites", "", "%s is not available and left out", name)
		case !ok:
			p.fail("cipher_suites", "for example ECDHE-RSA-AES128-GCM-SHA256", "unknown suite %q", name)
		case s.weak && !cfg.AllowWeak:
			p.fail("cipher_suites", "leave it out, or set allow_weak: true", "%s is not secure", name)
		default:
			ids = append(ids, s.id)
		}
	}
	if ids == nil && cfg.CipherSuites != "" && len(p.errs) == 0 {
		p.fail("cipher_suites", "name at least one other", "none of the suites is available")
	}
	return ids
}

// list iterates over the non-empty parts of s.
func list(s, separators string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}
