package health

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// What holds where a configuration says nothing.
const (
	DefaultTimeout      = time.Second
	DefaultInterval     = 15 * time.Second
	DefaultInitialDelay = time.Second
)

// shortest is the least time that an interval or a timeout may have: a typing
// error must not become a flood.
const shortest = 10 * time.Millisecond

// Check is how hosts are asked. It is made by Parse and does not change.
type Check struct {
	kind kind

	timeout, interval, jitter, initialDelay time.Duration
	// healthy and unhealthy are how many results in a row it takes to bring a
	// host back, or to take it out.
	healthy, unhealthy int

	port     int
	security Security

	// For HTTP.
	method, path, query, domain string
	hasQuery                    bool
	codes                       []config.CodeRange

	service string // for gRPC
}

// kind is a way to ask.
type kind uint8

const (
	connects kind = iota
	http1Request
	http2Request
	grpcCall
)

// The names of the protocols that are spoken, as protocol.Table has them.
const (
	http1 = "Http1"
	http2 = "Http2"
)

// kinds are the names of the ways to ask, as configurations have them.
var kinds = [...]string{connects: "TCP", http1Request: http1, http2Request: http2, grpcCall: "GRPC"}

// protocol returns the name of the protocol that is spoken; "" is none.
func (k kind) protocol() string {
	switch k {
	case http1Request:
		return http1
	case http2Request, grpcCall:
		return http2
	}
	return ""
}

// String returns the kind's name in configurations.
func (k kind) String() string { return kinds[k] }

// Parse makes a Check of its configuration. path is where that stands. The
// error is of type decode.Problems.
func Parse(cfg config.HealthCheck, path string) (check Check, warnings decode.Problems, err error) {
	p := parser{path: path}
	c := Check{
		kind:         p.kind(cfg.Protocol),
		timeout:      p.duration("timeout", cfg.Timeout, DefaultTimeout, shortest),
		interval:     p.duration("interval", cfg.Interval, DefaultInterval, shortest),
		jitter:       p.duration("interval_jitter", cfg.IntervalJitter, 0, 0),
		initialDelay: p.duration("initial_delay", cfg.InitialDelay, 0, 0),
		healthy:      max(1, cfg.HealthyThreshold),
		unhealthy:    max(1, cfg.UnhealthyThreshold),
		method:       http.MethodGet,
		path:         "/",
		codes:        []config.CodeRange{{Start: http.StatusOK, End: http.StatusOK}},
		service:      cfg.ServiceName,
	}
	other := p.duration("initial_delay_seconds", cfg.InitialDelayLong, 0, 0)
	switch {
	case c.initialDelay == 0 && other == 0:
		c.initialDelay = DefaultInitialDelay
	case c.initialDelay == 0:
		c.initialDelay = other
	case other != 0 && other != c.initialDelay:
		p.warn(decode.Join(path, "initial_delay_seconds"), fmt.Sprintf("is another name of initial_delay, whose %v holds", c.initialDelay), "remove one of them")
	}
	if c.service != "" && c.kind != grpcCall {
		p.warn(decode.Join(path, "service_name"), "has no effect on "+c.kind.String()+" checks", "protocol: GRPC")
	}
	if cfg.Check.HTTP != nil {
		p.path = decode.Join(decode.Join(path, "check_config"), "http_check_config")
		p.request(&c, cfg.Check.HTTP)
	}
	return c, p.warnings, p.problems.Err()
}

// NeedsTLS reports whether the check wants TLS in any case, so that a cluster
// without a TLS context cannot have it.
func (c Check) NeedsTLS() bool { return c.security == Secure }

// parser collects what is wrong with a configuration.
type parser struct {
	path               string
	problems, warnings decode.Problems
}

func (p *parser) fail(key, message, remedy string) {
	p.failAt(decode.Join(p.path, key), message, remedy)
}

func (p *parser) failAt(path, message, remedy string) {
	p.problems = append(p.problems, decode.Problem{Path: path, Message: message, Remedy: remedy})
}

func (p *parser) warn(path, message, remedy string) {
	p.warnings = append(p.warnings, decode.Problem{Path: path, Message: message, Remedy: remedy})
}

func (p *parser) kind(name string) kind {
	if name == "" {
		return connects
	}
	for k, known := range kinds {
		if strings.EqualFold(name, known) {
			return kind(k)
		}
	}
	remedy := "known: " + strings.Join(kinds[:], ", ")
	if near := decode.Nearest(name, kinds[:]); near != "" {
		remedy = fmt.Sprintf("did you mean %s? %s", near, remedy)
	}
	p.fail("protocol", fmt.Sprintf("unknown protocol %q of a health check", name), remedy)
	return connects
}

// duration returns a time that was given, or what holds without one.
func (p *parser) duration(key string, d, otherwise, least time.Duration) time.Duration {
	switch {
	case d == 0:
		return otherwise
	case d < least:
		p.fail(key, fmt.Sprintf("%v is too short", d), fmt.Sprintf("at least %v", least))
	}
	return d
}

// request fills in what the configuration says about the request.
func (p *parser) request(c *Check, cfg *config.HTTPCheck) {
	if c.kind != http1Request && c.kind != http2Request {
		p.warn(p.path, "has no effect on "+c.kind.String()+" checks", "protocol: Http1 or Http2")
		return
	}
	c.port = cfg.Port
	c.timeout = p.duration("timeout", cfg.Timeout, c.timeout, shortest)
	if cfg.Method != "" {
		c.method = cfg.Method
	}
	if !isToken(c.method) || c.method == http.MethodConnect {
		p.fail("method", fmt.Sprintf("%q is no method to check with", cfg.Method), "GET or HEAD, for example")
	}
	if cfg.Path != "" {
		c.path, c.query, c.hasQuery = strings.Cut(cfg.Path, "?")
	}
	if c.path == "" || c.path[0] != '/' || strings.ContainsFunc(cfg.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
		p.fail("path", fmt.Sprintf("%q is no path", cfg.Path), `it begins with "/"; blanks and all that is not ASCII are percent-encoded, as in "/health?full=a%20b"`)
	}
	c.domain = cfg.Domain
	if strings.ContainsFunc(c.domain, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/?#@\`, r) }) {
		p.fail("domain", fmt.Sprintf("%q is no host name", c.domain), "as in example.com or example.com:8080")
	}
	switch cfg.Scheme {
	case "http":
		c.security = Plain
	case "https":
		c.security = Secure
	}
	for i, r := range cfg.Codes {
		if r.Start < 200 || r.End > 599 || r.End < r.Start {
			p.failAt(decode.At(decode.Join(p.path, "codes"), i), fmt.Sprintf("%d to %d is no range of statuses", r.Start, r.End), "Start and End from 200 to 599, both included")
		}
	}
	if len(cfg.Codes) > 0 {
		c.codes = slices.Clone(cfg.Codes)
	}
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// wanted reports whether a status means that the host is well.
func (c *Check) wanted(status int) bool {
	return slices.ContainsFunc(c.codes, func(r config.CodeRange) bool { return r.Start <= status && status <= r.End })
}
