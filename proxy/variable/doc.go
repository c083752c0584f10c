// Package variable reads values of a request by name: what the caller sent,
// what the core has decided about it, and what filters have noted on it. Route
// tables, header changes and expressions name variables in their configuration.
//
// A name is resolved once, by Lookup or ParseTemplate, when a configuration is
// compiled; to read the value of a request later does not search for the name.
//
// # Names
//
// Kind tells when a name has a value. The built-in names are MOSN's:
//
//   - of the request (OfRequest): x-mosn-{scheme,method,host,path,path-original,
//     querystring}, authority, protocol, start_time, downstream_remote_address,
//     gRPC_serviceName, x-mosn-rpc-service, x-mosn-rpc-method (of gRPC and of
//     RPC protocols), Dubbo_service, Dubbo_method;
//     request_header_X, request_arg_X and cookie_X for any X;
//   - the same for one protocol, without a value for requests of another:
//     Http1_request_{scheme,method,length,uri,path,path_original,arg},
//     Http1_request_header_X, Http1_request_arg_X, Http1_cookie_X, the same with
//     Http2_, Http2_request_use_stream, Http2_response_use_stream;
//   - of the route (OfRoute): route_name, upstream_cluster;
//   - of the host (OfHost): upstream_host;
//   - those that need the finished exchange (OfRecord): response_code, duration,
//     bytes_sent and so on, response_header_X;
//   - those that somebody has to set (Noted): x-mosn-router-meta, proxy_… (see
//     the constants), x_seata_xid and so on.
//
// Any other name is Free: it has the value that a filter has noted under it.
//
// A name that a filter has noted a value for (Request.Vars) has that value, if
// it is Free, Noted, OfRecord or one of x-mosn-…, authority, gRPC_serviceName:
// the names that filters may set in MOSN. It changes what readers of the
// variable see, not the request: a filter that means to change the request
// changes its fields. The other names always tell the truth about the request.
//
// A path or query argument is given decoded, unless its name ends in
// "original" or "uri"; what is not a valid escape stays as it is. Of a header
// field, argument or cookie that is repeated, the first counts.
//
// # Hostile values
//
// Most values are under control of the caller, and decoding may bring forth any
// byte. A Getter gives the value as it is. Template.Value and Printable escape
// control characters, so that their result is safe in a header field or a line
// of a log. No function panics, and none takes more time than linear in what
// the caller sent.
//
// The package keeps no state and changes no request.
package variable
