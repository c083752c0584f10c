// Package dsl runs scripts (see expression.Script) on requests and responses:
// before the route is chosen, after it is, at each attempt once its host is, and
// on the response. They can change header fields, the path and the query.
//
// A script that fails for a request, because it asks for a header field that
// the request does not have for example, leaves the request as far as it has
// changed it; the request goes on. Such failures are logged, one a second at
// most.
package dsl
