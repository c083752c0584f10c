// Package faulttolerance is the stream filter "fault_tolerance": a host at which
// far more requests fail than at the others of its cluster is isolated for a
// while (row F17 of the contract).
//
// It counts answers by host, for a window of time. When the window is over, a
// host whose rate of failures is a multiple of the cluster's is taken out of use
// with filter.Clusters.Isolate, which puts it back after the time of recovery.
// The filter never sends, holds up or changes a request.
//
// What it needs to know is kept for one window, and for a bounded number of
// hosts. One goroutine compares them, with filter.Env.Go, so that it ends with
// the core; it also ends when a window has passed without a request. When a
// configuration takes the place of another, counting begins anew, and hosts
// that are isolated stay so until their time is over.
package faulttolerance
