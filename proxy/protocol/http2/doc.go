// Package http2 is HTTP/2 (RFC 9113) with HPACK (RFC 7541), both ends, and
// what gRPC adds to it (trailers-only answers, grpc-timeout, grpc-status).
//
// One connection is a session. Its only permanent goroutine reads frames. What
// is to be written is appended, already framed, to the session's output by
// whoever has something to say; a writer that exists only while there is
// something to write takes all of it in one system call. Control frames that
// may overtake go first, bodies take turns frame by frame.
//
// Memory is bounded by what this end promises: a stream's window is credited
// when its reader has consumed the bytes, never before, so a slow reader on one
// side stalls the writer on the other. An idle session holds no buffer and no
// worker.
//
// The package speaks HTTP/2 by prior knowledge or after ALPN. It does not do
// server push, extended CONNECT or priorities (which RFC 9113 retired; they are
// read and ignored).
//
// Posture: both peers may be hostile. Header blocks are limited in bytes,
// frames and fields; every frame that costs us work and the peer nothing
// (resets, pings, settings, empty data, window updates) draws on a budget,
// and a peer that overdraws it is sent away with ENHANCE_YOUR_CALM.
package http2
