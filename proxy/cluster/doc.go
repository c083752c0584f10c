// Package cluster answers "which host?": a Cluster is a named set of hosts that
// serve the same, and a stream.Handler that sends a request to one of them. A
// Manager holds all clusters of a configuration.
//
// The choice itself is made by a balancer (package lb), the sending by a
// connection pool per host and protocol (package upstream). One call of Handle
// is one attempt; trying again is decided above.
package cluster
