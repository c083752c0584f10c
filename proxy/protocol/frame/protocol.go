package frame

import (
	"log/slog"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// Protocol is the protocol of a codec. Make one with New.
type Protocol struct {
	codec Codec
	opts  Options
}

// shared is a Protocol whose connections are shared.
type shared struct{ Protocol }

// Multiplexed implements protocol.Multiplexed.
func (shared) Multiplexed() {}

// Aliased is a Codec that configurations know by other names, too.
type Aliased interface {
	Codec
	Aliases() []string
}

var (
	_ protocol.Multiplexed = shared{}
	_ protocol.Framed      = Protocol{}
	_ protocol.Aliased     = Protocol{}
	_ protocol.Limiter     = (*client)(nil)
)

// New makes a protocol of a codec. Zeros in opts are the defaults. It is a
// protocol.Multiplexed unless Options.PingPong is set.
func New(codec Codec, opts Options) protocol.Protocol {
	p := Protocol{codec, opts.withDefaults()}
	if opts.PingPong {
		p.opts.MaxInFlight = 1
		return p
	}
	return shared{p}
}

// Name implements protocol.Protocol.
func (p Protocol) Name() string { return p.codec.Name() }

// Framed implements protocol.Framed.
func (Protocol) Framed() {}

// Aliases implements protocol.Aliased.
func (p Protocol) Aliases() []string {
	if a, ok := p.codec.(Aliased); ok {
		return a.Aliases()
	}
	return nil
}

// Match implements protocol.Protocol.
func (p Protocol) Match(prefix []byte) protocol.Verdict { return p.codec.Match(prefix) }

// NewServer implements protocol.Protocol with the options in opts.Extend.
func (p Protocol) NewServer(opts protocol.ServerOptions) (protocol.Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	o := p.opts
	warnings, err := decode.Into(&o, opts.Extend, opts.Path)
	for _, w := range warnings {
		opts.Log.Warn("a protocol option is not what it seems", "warning", w.String())
	}
	if err != nil {
		return nil, err
	}
	return &server{codec: p.codec, opts: opts, limits: o.withDefaults()}, nil
}

// NewClient implements protocol.Protocol. From then on c is read until it is closed.
func (p Protocol) NewClient(c *conn.Conn, opts protocol.ClientOptions) protocol.Client {
	return newClient(p.codec, p.opts, c, opts)
}
