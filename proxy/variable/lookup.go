package variable

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Getter returns the value of one variable of a request; ok is false when it
// has none. It may be called concurrently for different requests, does not
// change the request, and the value may be kept.
type Getter func(req *stream.Request) (value string, ok bool)

// Lookup returns the Getter of a name; it is never nil. See the package comment
// for the names.
func Lookup(name string) Getter {
	v := find(name)
	switch {
	case v.get == nil:
		return noted(name)
	case v.settable:
		return override(name, v.get)
	}
	return v.get
}

// Names iterates over the names that are built in, sorted; a name that ends in
// "_X" stands for all that have something else in place of the X.
func Names() iter.Seq2[string, Kind] {
	return func(yield func(string, Kind) bool) {
		list := slices.Collect(maps.Keys(builtin))
		for _, p := range prefixes {
			list = append(list, p.prefix+"X")
		}
		slices.Sort(list)
		for _, name := range list {
			if !yield(name, Known(name)) {
				return
			}
		}
	}
}

// variable is what is known about a name.
type variable struct {
	kind Kind
	// get is nil for names that only Vars has a value for.
	get Getter
	// settable: a value in Vars comes before what get returns.
	settable bool
}

// find returns what is known about a name; the zero variable if nothing.
func find(name string) variable {
	if v, ok := builtin[name]; ok {
		return v
	}
	for _, p := range prefixes {
		if key, ok := strings.CutPrefix(name, p.prefix); ok && key != "" {
			if p.get == nil {
				return variable{kind: p.kind}
			}
			return variable{kind: p.kind, get: only(p.protocol, p.get(key))}
		}
	}
	return variable{}
}

func noted(name string) Getter {
	return func(req *stream.Request) (string, bool) { return req.Vars.Get(name) }
}

func override(name string, get Getter) Getter {
	return func(req *stream.Request) (string, bool) {
		if v, ok := req.Vars.Get(name); ok {
			return v, true
		}
		return get(req)
	}
}

// only restricts get to requests of a protocol; "" is any.
func only(protocol string, get Getter) Getter {
	if protocol == "" {
		return get
	}
	return func(req *stream.Request) (string, bool) {
		if req.Protocol != protocol {
			return "", false
		}
		return get(req)
	}
}

// some is a value that is there unless it is empty.
func some(s string) (string, bool) { return s, s != "" }

// prefixes are names that are followed by a key. A longer one comes before a
// shorter one that it begins with.
var prefixes = []struct {
	prefix   string
	kind     Kind
	protocol string
	get      func(key string) Getter
}{
	{"request_header_", OfRequest, "", header},
	{"request_arg_", OfRequest, "", arg},
	{"cookie_", OfRequest, "", cookie},
	{"Http1_request_header_", OfRequest, http1, header},
	{"Http1_request_arg_", OfRequest, http1, arg},
	{"Http1_cookie_", OfRequest, http1, cookie},
	{"Http2_request_header_", OfRequest, http2, header},
	{"Http2_request_arg_", OfRequest, http2, arg},
	{"Http2_cookie_", OfRequest, http2, cookie},
	{"response_header_", OfRecord, "", nil},
}

// Names of protocols, as in Request.Protocol.
const (
	http1 = "Http1"
	http2 = "Http2"
	dubbo = "dubbo"
)

// builtin are the names that stand for themselves. It does not change.
var builtin = map[string]variable{
	"x-mosn-scheme":        {kind: OfRequest, get: scheme, settable: true},
	"x-mosn-method":        {kind: OfRequest, get: method, settable: true},
	"x-mosn-host":          {kind: OfRequest, get: authority, settable: true},
	"authority":            {kind: OfRequest, get: authority, settable: true},
	"x-mosn-path":          {kind: OfRequest, get: path, settable: true},
	"x-mosn-path-original": {kind: OfRequest, get: pathOriginal, settable: true},
	"x-mosn-querystring":   {kind: OfRequest, get: query, settable: true},
	"x-mosn-rpc-service":   {kind: OfRequest, get: rpcService, settable: true},
	"x-mosn-rpc-method":    {kind: OfRequest, get: rpcMethod, settable: true},
	"gRPC_serviceName":     {kind: OfRequest, get: grpcService, settable: true},
	DubboService:           {kind: OfRequest, get: only(dubbo, rpcService), settable: true},
	DubboMethod:            {kind: OfRequest, get: only(dubbo, rpcMethod), settable: true},

	"protocol":                  {kind: OfRequest, get: func(r *stream.Request) (string, bool) { return some(r.Protocol) }},
	"start_time":                {kind: OfRequest, get: startTime},
	"downstream_remote_address": {kind: OfRequest, get: func(r *stream.Request) (string, bool) { return some(r.Info.Downstream) }},

	"Http1_request_scheme":        {kind: OfRequest, get: only(http1, scheme)},
	"Http1_request_method":        {kind: OfRequest, get: only(http1, method)},
	"Http1_request_length":        {kind: OfRequest, get: only(http1, length)},
	"Http1_request_uri":           {kind: OfRequest, get: only(http1, uri)},
	"Http1_request_path":          {kind: OfRequest, get: only(http1, path)},
	"Http1_request_path_original": {kind: OfRequest, get: only(http1, pathOriginal)},
	"Http1_request_arg":           {kind: OfRequest, get: only(http1, query)},
	"Http2_request_scheme":        {kind: OfRequest, get: only(http2, scheme)},
	"Http2_request_method":        {kind: OfRequest, get: only(http2, method)},
	"Http2_request_length":        {kind: OfRequest, get: only(http2, length)},
	"Http2_request_uri":           {kind: OfRequest, get: only(http2, uri)},
	"Http2_request_path":          {kind: OfRequest, get: only(http2, path)},
	"Http2_request_path_original": {kind: OfRequest, get: only(http2, pathOriginal)},
	"Http2_request_arg":           {kind: OfRequest, get: only(http2, query)},
	// Bodies always stream here.
	"Http2_request_use_stream":  {kind: OfRequest, get: only(http2, always("true"))},
	"Http2_response_use_stream": {kind: OfRequest, get: only(http2, always("true"))},

	"route_name":       {kind: OfRoute, get: func(r *stream.Request) (string, bool) { return some(r.Info.Route) }},
	"upstream_cluster": {kind: OfRoute, get: func(r *stream.Request) (string, bool) { return some(r.Info.Cluster) }},
	"upstream_host":    {kind: OfHost, get: func(r *stream.Request) (string, bool) { return some(r.Info.Host) }},

	RouterMeta:          {kind: Noted},
	GlobalTimeout:       {kind: Noted},
	TryTimeout:          {kind: Noted},
	DisableRetry:        {kind: Noted},
	HijackStatus:        {kind: Noted},
	DirectResponse:      {kind: Noted},
	GzipSwitch:          {kind: Noted},
	"x_seata_xid":       {kind: Noted},
	"x_seata_branch_id": {kind: Noted},

	"request_received_duration":         {kind: OfRecord},
	"response_received_duration":        {kind: OfRecord},
	"request_finished_duration":         {kind: OfRecord},
	"process_time_duration":             {kind: OfRecord},
	"duration":                          {kind: OfRecord},
	"bytes_sent":                        {kind: OfRecord},
	"bytes_received":                    {kind: OfRecord},
	"response_code":                     {kind: OfRecord},
	"response_flag":                     {kind: OfRecord},
	"response_flags":                    {kind: OfRecord},
	"x-mosn-status":                     {kind: OfRecord},
	"requestResult":                     {kind: OfRecord},
	"upstream_transport_failure_reason": {kind: OfRecord},
	// These a request knows nothing of, yet the record may.
	"upstream_local_address":   {kind: OfRecord},
	"downstream_local_address": {kind: OfRecord},
	"requested_server_name":    {kind: OfRecord},
	"protocol_config":          {kind: OfRecord},
	"x-mosn-direction":         {kind: OfRecord},
	"traceID":                  {kind: OfRecord},
	"connectionID":             {kind: OfRecord},
	"upstreamConnectionID":     {kind: OfRecord},
}

func always(value string) Getter {
	return func(*stream.Request) (string, bool) { return value, true }
}

func scheme(r *stream.Request) (string, bool)    { return some(r.Scheme) }
func method(r *stream.Request) (string, bool)    { return some(r.Method) }
func authority(r *stream.Request) (string, bool) { return some(r.Authority) }
func path(r *stream.Request) (string, bool)      { return some(Unescape(r.Path, false)) }

// query has a value, perhaps an empty one, if the request has a "?".
func query(r *stream.Request) (string, bool) { return r.Query, r.HasQuery }

func pathOriginal(r *stream.Request) (string, bool) {
	if r.Info.Path != "" { // a route has changed it since
		return r.Info.Path, true
	}
	return some(r.Path)
}

func uri(r *stream.Request) (string, bool) {
	if !r.HasQuery {
		return pathOriginal(r)
	}
	p, _ := pathOriginal(r)
	return p + "?" + r.Query, true
}

// length is the length of the body where it is known beforehand.
func length(r *stream.Request) (string, bool) {
	switch {
	case r.Body == nil:
		return "0", true
	case r.ContentLength < 0:
		return "", false
	}
	return strconv.FormatInt(r.ContentLength, 10), true
}

func startTime(r *stream.Request) (string, bool) {
	if r.Info.Start.IsZero() {
		return "", false
	}
	return r.Info.Start.Format("2006/01/02 15:04:05.000"), true
}

// grpcCall divides the path of a gRPC request, /package.Service/Method.
func grpcCall(r *stream.Request) (service, method string, ok bool) {
	const contentType = "application/grpc"
	ct := r.Header.Get("content-type")
	if len(ct) < len(contentType) || !stream.EqualName(ct[:len(contentType)], contentType) {
		return "", "", false
	}
	rest, ok := strings.CutPrefix(r.Path, "/")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	if i <= 0 || i == len(rest)-1 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

func grpcService(r *stream.Request) (string, bool) {
	service, _, ok := grpcCall(r)
	return service, ok
}

func grpcMethod(r *stream.Request) (string, bool) {
	_, method, ok := grpcCall(r)
	return method, ok
}

// rpcService is the service that a request calls, over gRPC or an RPC protocol.
func rpcService(r *stream.Request) (string, bool) {
	if _, ok := r.Native.(stream.Coder); ok {
		return r.Header.Lookup("service")
	}
	return grpcService(r)
}

func rpcMethod(r *stream.Request) (string, bool) {
	if _, ok := r.Native.(stream.Coder); ok {
		return some(r.Method)
	}
	return grpcMethod(r)
}

// header is the value of a header field. Those that the protocol server takes
// out of Request.Header are found by their name all the same, and so are
// HTTP/2's pseudo header fields.
func header(name string) Getter {
	switch strings.ToLower(name) {
	case "host", ":authority":
		return authority
	case ":method":
		return method
	case ":scheme":
		return scheme
	case ":path":
		return func(r *stream.Request) (string, bool) {
			if !r.HasQuery {
				return some(r.Path)
			}
			return r.Path + "?" + r.Query, true
		}
	case "content-length":
		return func(r *stream.Request) (string, bool) {
			if r.Body == nil {
				return "", false
			}
			return length(r)
		}
	}
	return func(r *stream.Request) (string, bool) { return r.Header.Lookup(name) }
}

func arg(name string) Getter {
	return func(r *stream.Request) (string, bool) { return QueryArg(r.Query, name) }
}

func cookie(name string) Getter {
	return func(r *stream.Request) (string, bool) { return Cookie(&r.Header, name) }
}
