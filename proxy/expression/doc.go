// Package expression decides conditions on a request that are written in CEL,
// the Common Expression Language (https://cel.dev): route conditions
// (dsl_expressions) for one.
//
//	request.method == "GET" && request.headers["x-user"].startsWith("a")
//	cidr("10.0.0.0/8").containsIP(source.ip) || vars["tenant"] in ["a", "b"]
//
// An expression is compiled, with its types checked, when a configuration is;
// to evaluate it for a request reads only those attributes that it names.
//
// # Attributes
//
// The names are those of MOSN, which has them from Istio:
//
//	request.method, request.scheme, request.host   text
//	request.path         text: the path, decoded, without query
//	request.url_path     text: the path, decoded, with "?" and the query if there is one
//	request.query        text: the query as sent, without "?"
//	request.query_params map of text: the arguments, decoded; of a repeated one the first
//	request.headers      map of text: names in any case; values of a repeated field joined by ","
//	request.id, request.useragent, request.referer  text
//	request.time         timestamp: when the request began
//	request.size         int: length of the body in bytes, -1 if it is not known
//	source.address       text: the caller's address with port; source.ip (ip), source.port (int)
//	destination.address  text: the same of the host, with destination.ip, destination.port
//	protocol             text: the protocol the request came in by: "Http1", "Http2", "bolt"…
//	context.protocol     text: the same, but "http" and "h2" for the first two
//	route.name, cluster.name  text
//	vars, variables      map of text: variables; see the package variable
//
// (Envoy and Istio give request.path and request.url_path the opposite sense.)
// What is not known has the empty value: "", 0, an address that is in no
// network. A key that a map does not have is an error as always in CEL, unless
// "key" in map is asked first, or map[?"key"].orValue(""). What the route or the
// host decides is not known before there is one.
//
// # Functions
//
// Those of CEL, with optional values; charAt, indexOf, lastIndexOf, lowerAscii,
// upperAscii, replace, split, substring and trim of its string library; ip, cidr,
// isIP, isCIDR and their methods of its network library; and MOSN's toLower,
// toUpper, reverse and match(text, "prefix*" or "*suffix"), conditional(a, b, c)
// for a ? b : c, and pick(map["key"], "default").
//
// # Hostile input
//
// A caller cannot make an expression expensive: what could take more than
// linear time is refused by Compile (patterns and search texts that are no
// literals, replacements that grow), and expressions that loop end with an
// error at a limit. Nothing panics. A Program is safe for concurrent use.
package expression
