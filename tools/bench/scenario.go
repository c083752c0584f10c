package main

import (
	"context"
	"io"
	"time"
)

// A scenario measures one thing. Adding one is a file with its run function and
// a row in scenarios.
type scenario struct {
	name   string
	intent string // one line for -list
	run    func(context.Context, *bench) error
}

func scenarios() []scenario {
	return []scenario{
		{"invoke", "gRPC InvokeService to an HTTP service, against the direct gRPC and the direct HTTP call", runInvoke},
		{"http1", "an HTTP/1 request through the proxy, against the direct one", runHTTP1},
		{"http2", "an HTTP/2 request through the proxy, against the direct one", runHTTP2},
		{"grpc", "a unary gRPC call through the proxy, against the direct one", runGRPC},
		{"bolt", "a call over Bolt through the proxy, against the direct one", runBolt},
		{"tcp", "bytes through tcp_proxy, against a direct connection", runTCP},
		{"state", "GetState and SaveState on memory and Redis, against a plain gRPC call and go-redis", runState},
		{"idle", "memory and CPU of connections that say nothing", runIdle},
	}
}

// A bench is what a scenario works with.
type bench struct {
	settings
	out    io.Writer
	values []value         // printed after the tables
	folder string          // for configs and logs; removed at the end
	given  map[string]bool // addresses of freeAddresses
}

// settings are what the flags say.
type settings struct {
	binary   string        // the sidecar
	pin      int           // the CPU that the sidecar is bound to, -1 for any
	direct   bool          // leave the sidecar out
	rounds   int           // of all paths at all levels
	levels   []int         // calls in flight
	body     int           // bytes each way
	warmup   time.Duration // of one measurement, not recorded
	duration time.Duration // of one measurement, recorded
	starts   int           // how often the start is timed
	idle     time.Duration // how long the idle sidecar is watched
	conns    int           // idle connections
}
