package http1

import (
	"log/slog"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Name is the protocol's name in configurations.
const Name = "Http1"

// Protocol is HTTP/1 with its default limits. The zero value is ready to use.
type Protocol struct{}

var _ protocol.ALPN = Protocol{}

// Options are what `extend_config` may say.
type Options struct {
	MaxHeaderBytes int           `json:"max_header_size" min:"256" max:"16777216" doc:"Most bytes in a message head. Default 65536."`
	MaxBodyBytes   int64         `json:"max_request_body_size" min:"0" doc:"Most bytes in a request body. 0: no limit; bodies stream."`
	HeadTimeout    time.Duration `json:"read_header_timeout" min:"1ms" doc:"Most time to receive a head once it began. Default 10s."`
}

// DefaultOptions returns the options that hold where none are given.
func DefaultOptions() Options {
	return Options{MaxHeaderBytes: 64 << 10, HeadTimeout: 10 * time.Second}
}

// Name returns "Http1".
func (Protocol) Name() string { return Name }

// ALPN implements protocol.ALPN.
func (Protocol) ALPN() []string { return []string{"http/1.1"} }

// Match recognises a request line by its method and how its target begins:
// other protocols have lines of words, too.
func (Protocol) Match(prefix []byte) protocol.Verdict {
	for i, c := range prefix {
		if c == ' ' {
			if i == 0 || view(prefix[:i]) == "PRI" { // PRI begins HTTP/2 (RFC 9113 section 3.4)
				return protocol.No
			}
			return matchTarget(view(prefix[:i]), prefix[i+1:])
		}
		if i >= 20 || c < 'A' || c > 'Z' {
			return protocol.No
		}
	}
	return protocol.More
}

// matchTarget recognises one of the forms of RFC 9112 section 3.2.
func matchTarget(method string, target []byte) protocol.Verdict {
	const absolute = "http"
	n := min(len(target), len(absolute))
	switch {
	case n == 0:
		return protocol.More
	case target[0] == '/' || target[0] == '*' || method == "CONNECT":
		return protocol.Match
	case !stream.EqualName(view(target[:n]), absolute[:n]):
		return protocol.No
	case n < len(absolute):
		return protocol.More
	}
	return protocol.Match
}

// NewServer makes a server with the options in opts.Extend.
func (Protocol) NewServer(opts protocol.ServerOptions) (protocol.Server, error) {
	o := DefaultOptions()
	warnings, err := decode.Into(&o, opts.Extend, opts.Path)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	for _, w := range warnings {
		opts.Log.Warn("a protocol option is not what it seems", "warning", w.String())
	}
	if err != nil {
		return nil, err
	}
	return &server{opts: opts, limits: o}, nil
}

// NewClient makes a client on c.
func (Protocol) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	return newClient(c, opts)
}
