// Package router decides where a request goes: which virtual host it is for,
// which of that host's routes takes it, and what becomes of it then. A route
// answers a request itself (direct response, redirect), or says which cluster
// gets it, changed in which way, within what time, and under which policy of
// retries, mirrors, labels and hashes.
//
// A Table is compiled from its configuration once and never changes, so that a
// request sees one configuration from beginning to end. To compile is also how
// a configuration is checked: New tells every mistake with its place.
//
// The semantics are those of a list: of the routes whose conditions all hold,
// the first is taken. The cost is not: virtual hosts, paths, prefixes, and
// values of header fields, query parameters and variables are found by index,
// without an allocation. Only routes that state nothing but regular
// expressions, alternatives or CEL are tried one after the other.
//
// A request goes through the steps in this order: times, hash and labels are
// taken from what the caller sent; then the header changes of the route, the
// virtual host and the router are made; then host and path are rewritten. The
// changes of the answer are made in the same order of levels.
//
// The package sends nothing anywhere: it calls the handler that its Backends
// know for the cluster. It does not choose hosts and does not retry.
//
// A Chooser takes another than the first of the routes that take a request: it is
// what MOSN's pluggable handler chain is for.
package router
