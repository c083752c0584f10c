// Package mirror sends copies of requests to other clusters, as a route's
// policy says: a new version sees real traffic, and nobody sees its answers.
//
// Copying never slows or fails the caller. A copy is a request of its own, made
// before the original goes its way and sent by a goroutine of its own. Bodies
// stream: what is read of the original's body is kept for the copies as well, up
// to Ahead bytes; a copy whose host takes them too slowly is broken off. So
// every body of up to Ahead bytes arrives whole. A copy is also broken off when
// the original's body ends early, or is not read to its end; one that has all of
// the body goes on when the caller goes away, until the time for the original
// is over.
//
// A copy asks for what the original asks for, with the same header fields and
// Authority. What the route demands of the original's hosts (labels, hosts
// tried, filters that stand at the host, host rewriting) does not hold for it.
// Requests that offer to change the protocol (Upgrade) are not copied, since
// what follows cannot be answered twice.
package mirror
