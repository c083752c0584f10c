package router

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// redirect sends the caller elsewhere. What is "" stays as the caller asked for it.
type redirect struct {
	status             int
	scheme, host, path string
}

// toTLS sends the caller to the same place over TLS.
var toTLS = redirect{status: 301, scheme: "https"}

// defaultPorts are what is left out of a host with the scheme.
var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// answer makes the response to req. Without a host there is nowhere to send the
// caller to: a path alone could be taken for a host ("//host/").
func (r *redirect) answer(req *stream.Request) (*stream.Response, error) {
	was := req.Scheme
	if was == "" {
		was = "http"
	}
	scheme, host, path := r.scheme, r.host, r.path
	if scheme == "" {
		scheme = was
	}
	if host == "" {
		host = req.Authority
		if scheme != was {
			host = strings.TrimSuffix(host, defaultPorts[was])
		}
	}
	if host == "" || !validHost(host) {
		return nil, stream.Errorf(stream.BadMessage, stream.Downstream, "to redirect a request for host %.100q", host)
	}
	if path == "" && strings.HasPrefix(req.Path, "/") {
		path = req.Path // else it is "*", the host as a whole
	}
	if req.HasQuery && !strings.Contains(path, "?") {
		path += "?" + req.Query
	}
	resp := &stream.Response{Status: r.status}
	resp.Header.Add("Location", scheme+"://"+host+path)
	return resp, nil
}

// tlsDemand says which requests a virtual host takes over TLS only.
type tlsDemand uint8

const (
	tlsOptional tlsDemand = iota
	tlsFromOutside
	tlsAlways
)

// refuses reports whether the request has to come over TLS, and does not.
func (d tlsDemand) refuses(req *stream.Request) bool {
	return d != tlsOptional && req.Scheme != "https" && (d == tlsAlways || !fromHere(req.Info.Downstream))
}

// fromHere reports whether the caller is on this machine: its address is a
// loopback one, or none of the network at all.
func fromHere(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err != nil || at.Addr().Unmap().IsLoopback()
}

var schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

func (c *compiler) redirect(cfg *config.Redirect, path string) *redirect {
	r := &redirect{status: cfg.ResponseCode, scheme: strings.ToLower(cfg.SchemeRedirect), host: cfg.HostRedirect, path: cfg.PathRedirect}
	known := []int{301, 302, 303, 307, 308}
	if r.status == 0 {
		r.status = 301
	}
	if !slices.Contains(known, r.status) {
		c.fail(path+".response_code", "known: 301 (default), 302, 303, 307, 308", "%d is no status of a redirect", r.status)
	}
	if r.scheme != "" && !schemeForm.MatchString(r.scheme) {
		c.fail(path+".scheme_redirect", "http or https", "%q is no scheme", cfg.SchemeRedirect)
	}
	if !validHost(r.host) {
		c.fail(path+".host_redirect", "write the host only, with :port if need be", "%q is no host", r.host)
	}
	if r.path != "" && (r.path[0] != '/' || !visible(r.path)) {
		c.fail(path+".path_redirect", `it begins with "/", and other characters than visible ASCII are percent-encoded`, "%q is no path", r.path)
	}
	if *r == (redirect{status: r.status}) {
		c.warn(path, "add path_redirect, host_redirect or scheme_redirect", "sends the caller to where it came from")
	}
	return r
}

func (c *compiler) tlsDemand(value, path string) tlsDemand {
	switch value {
	case "", "NONE":
	case "EXTERNAL_ONLY":
		return tlsFromOutside
	case "ALL":
		return tlsAlways
	default:
		c.fail(decode.Join(path, "require_tls"), "known: NONE, EXTERNAL_ONLY, ALL", "unknown value %q", value)
	}
	return tlsOptional
}
