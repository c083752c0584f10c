// Package upstream is the near end of what a request is sent to: a Host, which
// is one address with what is known about it, and a Pool, which keeps
// connections to one end and sends requests over them.
//
// Which host a request goes to is decided above (cluster/lb), how it is
// written below (protocol). A pool does not know whether its connections lead
// over a network or, for a channel into the core itself, through memory.
package upstream
