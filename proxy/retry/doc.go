// Package retry answers "once more?": its handler sends a request again when an
// attempt has failed in one of the ways that the route's policy names, and
// limits the time of each attempt. It is the one place in the core that does so;
// a connection pool only repeats what went out on a kept connection that the
// other end had closed meanwhile.
//
// Every attempt is given a copy of the request, so that what layers below change
// for one host (header fields, Authority, Deadline) is not there for the next.
// Facts and variables that they note, and the hosts tried, are carried over.
//
// A request's body is kept, up to KeepLimit bytes, while it is first sent, and
// sent again from there; what the caller has not sent by then follows behind it.
// A longer body, of which bytes were passed on, cannot be sent again.
//
// The package never sends to two hosts at a time, never chooses hosts, and never
// retries once the head of an answer was handed to the caller.
package retry
