package http2

import (
	"log/slog"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// Name is the protocol's name in configurations.
const Name = "Http2"

// Protocol is HTTP/2 with its default limits. The zero value is ready to use.
type Protocol struct{}

var _ protocol.Protocol = Protocol{}

// Options are what `extend_config` may say.
type Options struct {
	MaxHeaderBytes   int           `json:"max_header_size" min:"1024" max:"16777216" doc:"Most bytes in a header list, counted as RFC 9113 section 6.5.2 says. Default 65536."`
	MaxBodyBytes     int64         `json:"max_request_body_size" min:"0" doc:"Most bytes in a request body. 0: no limit; bodies stream."`
	HeadTimeout      time.Duration `json:"read_header_timeout" doc:"Most time to receive a frame or header block once it began. Default 10s."`
	MaxStreams       int           `json:"max_concurrent_streams" min:"1" max:"100000" doc:"Most requests at a time on a connection. Default 250."`
	StreamWindow     int           `json:"initial_window_size" min:"65535" max:"16777216" doc:"Most bytes of one request body that wait unread. Default 262144."`
	ConnectionWindow int           `json:"connection_window_size" min:"65535" max:"67108864" doc:"Most bytes of all request bodies of a connection that wait unread. Default 1048576."`
	// Accepted because configurations of old have it. Bodies always stream.
	UseStream bool `json:"http2_use_stream" doc:"Has no effect: bodies always stream."`
}

// DefaultOptions returns the options that hold where none are given.
func DefaultOptions() Options {
	return Options{
		MaxHeaderBytes:   64 << 10,
		HeadTimeout:      10 * time.Second,
		MaxStreams:       250,
		StreamWindow:     256 << 10,
		ConnectionWindow: 1 << 20,
	}
}

// clientWindow is the window of a connection to a host. It is larger than a
// caller's, because the callers of many connections share it: readers that
// stall must not stop the others.
const clientWindow = 4 << 20

// preface is what a client sends first (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Name returns "Http2".
func (Protocol) Name() string { return Name }

// Match recognises the preface by its first line.
func (Protocol) Match(prefix []byte) protocol.Verdict {
	const line = len("PRI * HTTP/2.0\r\n")
	n := min(len(prefix), line)
	switch {
	case string(prefix[:n]) != preface[:n]:
		return protocol.No
	case n < line:
		return protocol.More
	}
	return protocol.Match
}

// NewServer makes a server with the options in opts.Extend.
func (Protocol) NewServer(opts protocol.ServerOptions) (protocol.Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	o := DefaultOptions()
	warnings, err := decode.Into(&o, opts.Extend, opts.Path)
	for _, w := range warnings {
		opts.Log.Warn("a protocol option is not what it seems", "warning", w.String())
	}
	if err != nil {
		return nil, err
	}
	return &server{opts: opts, limits: o}, nil
}

// NewClient makes a client on c and sends the preface. From then on it reads c
// until it is closed.
func (Protocol) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	limits := DefaultOptions()
	limits.ConnectionWindow = clientWindow
	return newClient(c, opts, limits)
}
