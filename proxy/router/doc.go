// Package router decides where a request goes: which virtual host it is for,
// which of that host's routes takes it, and so to which cluster, within what
// time, by which protocol.
//
// A Table is compiled from its configuration once and never changes, so that a
// request sees one configuration from beginning to end.
//
// The semantics are those of a list: of the routes whose conditions all hold,
// the first is taken. The cost is not: virtual hosts, paths, prefixes and
// header values are found by index, without an allocation.
//
// The package sends nothing anywhere: it calls the handler that its Backends
// know for the cluster. It does not choose hosts and does not retry.
package router
