// Package stream holds the words that every layer of the proxy core speaks: a
// Request, a Response, the Handler that answers one with the other, the Filter
// that wraps a Handler, and the Error that says who failed.
//
// A request's way through the core is a chain of plain calls
//
//	protocol server → telemetry → filters → router → filters → cluster → pool → protocol client
//
// and every arrow is a call of Handler.Handle. The answer travels back as the
// calls return. Bodies stream: neither side of an exchange is held in memory
// unless a filter asks for it.
//
// The package is a leaf. It imports the standard library only, knows no wire
// protocol and opens nothing.
package stream
