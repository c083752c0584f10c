package mesh

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// wire is what calls look like in the protocol of a channel.
type wire interface {
	// refuse says why the protocol cannot carry the call; nil if it can.
	refuse(r *rpc.Request) error
	// fill makes the request of a call. Deadline, Info and the body are there.
	fill(ctx context.Context, req *stream.Request, r *rpc.Request)
	// answer says what an answer means: an error if it is no success. out has
	// all of resp; fields that are the protocol's own may be taken out.
	answer(resp *stream.Response, out *rpc.Response) error
	// failed makes the error of a call from what the core says.
	failed(err error) *rpc.Error
}

// protocol is a protocol that channels can speak.
type protocol struct {
	name string // in configurations
	core string // the core's name for it
	wire func(r *reader, path string, ext map[string]any) wire
}

func protocols() []protocol {
	return []protocol{
		{"http", "Http1", newHTTP},
		{"http2", "Http2", newHTTP},
		{"bolt", "bolt", newBolt},
		{"boltv2", "boltv2", newBolt},
		{"dubbo", "dubbo", newDubbo},
	}
}

func findProtocol(name string) (protocol, bool) {
	for _, p := range protocols() {
		if p.name == name {
			return p, true
		}
	}
	return protocol{}, false
}

func protocolNames() []string {
	var names []string
	for _, p := range protocols() {
		names = append(names, p.name)
	}
	return names
}

// translate turns an error of the core into one of a call.
func translate(err error) *rpc.Error {
	s := stream.AsError(err)
	e := &rpc.Error{Code: code(s.Kind), Msg: "rpc call failed", Err: err}
	if s.Kind == stream.BadMessage && s.Side != stream.Upstream {
		e.Code = rpc.InvalidCall // no request can be made of the call: to try again is in vain
	}
	return e
}

func code(kind stream.Kind) rpc.Code {
	switch kind {
	case stream.Timeout:
		return rpc.Timeout
	case stream.Canceled:
		return rpc.Canceled
	case stream.Internal:
		return rpc.Internal
	case stream.TooLarge:
		return rpc.TooLarge
	}
	return rpc.Unavailable
}
