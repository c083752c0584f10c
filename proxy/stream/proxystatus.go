package stream

import "strings"

// ProxyStatus is the field by which an answer says that it was made on the
// way, not by the host (RFC 9209).
const ProxyStatus = "Proxy-Status"

// self is how we name ourselves in Proxy-Status.
const self = "ottavo; error="

// The error types of RFC 9209 section 2.3 that stand for our kinds. A type
// that stands for several kinds is listed with the one to understand it as.
var proxyStatus = [...]string{
	Internal:   "proxy_internal_error",
	BadMessage: "http_protocol_error",
	TooLarge:   "http_request_error",
	NoRoute:    "destination_not_found",
	NoCluster:  "proxy_configuration_error",
	NoHost:     "destination_unavailable",
	Overload:   "connection_limit_reached",
	Connect:    "connection_refused",
	Reset:      "connection_terminated",
	Timeout:    "http_response_timeout",
	Canceled:   "http_response_incomplete",
	Stopping:   "proxy_internal_response",
	Denied:     "http_request_denied",
}

// ProxyStatus returns the value of Proxy-Status for an answer that stands for e.
func (e *Error) ProxyStatus() string {
	if int(e.Kind) < len(proxyStatus) {
		return self + proxyStatus[e.Kind]
	}
	return self + proxyStatus[Internal]
}

// ParseProxyStatus returns the kind of failure that one of our own proxies
// says it met; ok is false for any other value.
func ParseProxyStatus(value string) (kind Kind, ok bool) {
	name, ok := strings.CutPrefix(value, self)
	if !ok {
		return 0, false
	}
	for k, n := range proxyStatus {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}
