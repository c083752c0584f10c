// Package listener is where connections come in: it opens sockets, accepts,
// limits and counts connections, hands each to a Handler, and knows how to
// stop without cutting anybody off. Connections made inside the process (a
// pipe's end) are handed in by Inject and treated like accepted ones.
//
// It knows no protocol; what is done with a connection is the Handler's matter.
package listener
