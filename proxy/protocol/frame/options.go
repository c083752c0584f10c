package frame

import (
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// Options are the limits and times of a protocol. The fields with a name in
// configurations can be set for a listener with `extend_config`.
type Options struct {
	MaxFrame      int           `json:"max_frame_size" min:"1024" max:"2147483647" doc:"Most bytes in a frame; a larger one ends the connection. Default 67108864."`
	MaxConcurrent int           `json:"max_concurrent_requests" min:"1" max:"1000000" doc:"Most requests of a connection that are served at a time; the next one is not read before. Default 1000."`
	MaxHeld       int           `json:"max_held_bytes" min:"1024" doc:"Most bytes of a connection's requests that are held before no more is read; a single frame may be larger. Default 67108864."`
	FrameTimeout  time.Duration `json:"read_frame_timeout" min:"1ms" doc:"Most time to receive a frame once it began. Default 1m."`
	GoAway        bool          `json:"enable_goaway" doc:"Tell callers when a connection is to end, if the protocol can do that. Default false."`

	// PingPong: a connection to a host carries one request at a time.
	PingPong bool `json:"-"`
	// MaxInFlight is how many requests a connection to a host carries at a
	// time. Default 10000, or as many as there are ids, if that is less.
	MaxInFlight int `json:"-"`
	// HeartbeatInterval is how long nothing may come from a host before it is
	// asked whether it is alive, negative is never; HeartbeatTimeout is how long it
	// may take to answer, and HeartbeatFailures how often in a row it may not.
	// Then the connection is given up. Defaults 15 s, 1 s, 6.
	HeartbeatInterval time.Duration `json:"-"`
	HeartbeatTimeout  time.Duration `json:"-"`
	HeartbeatFailures int           `json:"-"`
}

// DefaultOptions returns the options that hold where none are given.
func DefaultOptions() Options {
	return Options{
		MaxFrame:          64 << 20,
		MaxConcurrent:     1000,
		MaxHeld:           64 << 20,
		FrameTimeout:      time.Minute,
		MaxInFlight:       10000,
		HeartbeatInterval: 15 * time.Second,
		HeartbeatTimeout:  time.Second,
		HeartbeatFailures: 6,
	}
}

// keep sets the times of heartbeats that k says.
func (o *Options) keep(k protocol.Keepalive) {
	if k.Interval > 0 {
		o.HeartbeatInterval = k.Interval
	}
	if k.Timeout > 0 {
		o.HeartbeatTimeout = k.Timeout
	} else if k.Interval > 0 {
		o.HeartbeatTimeout = min(o.HeartbeatTimeout, k.Interval)
	}
	if k.Failures > 0 {
		o.HeartbeatFailures = k.Failures
	}
}

// withDefaults returns o with defaults in place of zeros.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	for _, f := range [...]struct {
		is *int
		or int
	}{
		{&o.MaxFrame, d.MaxFrame},
		{&o.MaxConcurrent, d.MaxConcurrent},
		{&o.MaxHeld, d.MaxHeld},
		{&o.MaxInFlight, d.MaxInFlight},
		{&o.HeartbeatFailures, d.HeartbeatFailures},
	} {
		if *f.is == 0 {
			*f.is = f.or
		}
	}
	for _, f := range [...]struct {
		is *time.Duration
		or time.Duration
	}{
		{&o.FrameTimeout, d.FrameTimeout},
		{&o.HeartbeatInterval, d.HeartbeatInterval},
		{&o.HeartbeatTimeout, d.HeartbeatTimeout},
	} {
		if *f.is == 0 {
			*f.is = f.or
		}
	}
	return o
}
