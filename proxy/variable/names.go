package variable

// Names by which a filter, or the configuration of a route, steers what the
// layers behind it do with a request: the filter calls Request.Vars.Set. Each
// says who reads it, and when.
const (
	// RouterMeta holds labels that the host must have, besides those that the
	// route demands and before them, in the form of EncodeMeta. The router reads
	// it when it has chosen a route.
	RouterMeta = "x-mosn-router-meta"
	// GlobalTimeout is the most time for the whole exchange, in place of the
	// route's timeout: a number of milliseconds. The router reads it when it has
	// chosen a route.
	GlobalTimeout = "proxy_global_timeout"
	// TryTimeout is the most time for one attempt, in milliseconds; it has no
	// effect unless it is less than the whole exchange has. The router reads it
	// when it has chosen a route.
	TryTimeout = "proxy_try_timeout"
	// DisableRetry keeps the request from being sent again, if it is "true". The
	// retry layer reads it before each further attempt.
	DisableRetry = "proxy_disable_retry"
	// HijackStatus is the HTTP status of an answer that the core made itself. A
	// filter that answers a request notes it, for records and for the filters in
	// front of it; nothing changes the answer because of it.
	HijackStatus = "proxy_hijack_status"
	// DirectResponse is "true" when the route answers the request itself. The
	// router notes it; converters leave such an answer alone.
	DirectResponse = "proxy_direct_response"
	// GzipSwitch is "on" or "off" for one request; the filter gzip reads it on
	// the answer's way back.
	GzipSwitch = "proxy_gzip_switch"
	// DubboService and DubboMethod are what a Dubbo request calls. A filter that
	// notes others changes what conditions of routes see.
	DubboService = "Dubbo_service"
	DubboMethod  = "Dubbo_method"
)

// Kind says what a name stands for and when it has a value.
type Kind uint8

// Kinds.
const (
	// Free is a name that is not built in: it has the value that a filter notes
	// on the request under that name, if one does.
	Free Kind = iota
	// OfRequest is known with the request.
	OfRequest
	// OfRoute is known once a route is chosen: a condition of a route cannot
	// make use of it.
	OfRoute
	// OfHost is known once a host is chosen, so to filters of an attempt, and to
	// what works on the answer.
	OfHost
	// Noted is a name with a meaning whose value somebody has to set: a filter,
	// a protocol's codec or the router.
	Noted
	// OfRecord is known when the exchange is over: it is for the access log. A
	// Getter finds no value, unless a filter notes one under that name.
	OfRecord
)

// String returns the kind in words, "of the request" for example.
func (k Kind) String() string {
	switch k {
	case Free:
		return "not built in"
	case OfRequest:
		return "of the request"
	case OfRoute:
		return "of the route"
	case OfHost:
		return "of the host"
	case Noted:
		return "set by filters"
	case OfRecord:
		return "of the finished exchange"
	}
	return "unknown kind"
}

// Known returns the kind of a name. Whoever compiles a configuration warns of
// a kind that cannot have a value where the name stands.
func Known(name string) Kind { return find(name).kind }
