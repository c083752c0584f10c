// Package tcp passes connections on to the hosts of a cluster, byte by byte,
// without looking at them: the network filter "tcp_proxy", a listener.Handler.
//
// Both directions go on at the same time, each as fast as its reader takes the
// bytes, and each ends by itself: a half-closed connection stays half-closed.
// What one side is told is what the other side did; a connection that was
// broken off is not closed in order. Between two sockets on Linux large
// transfers are spliced, so that the bytes stay in the kernel. An idle connection holds no
// buffer and no pipe.
//
// The package does not know clusters or balancers: it asks an l4.Dial for a
// connection. It never buffers more than one chunk per direction.
package tcp
