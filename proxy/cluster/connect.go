package cluster

import (
	"context"
	"net"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Connection is a connection to a host of a cluster, for those who do not
// speak in requests.
type Connection struct {
	net.Conn
	Host string
	// Done is to be called once, when the connection is out of use; err is
	// what the host did wrong, nil if nothing.
	Done func(err error)
}

// Connect chooses a host, none of tried while another is healthy, and opens a
// connection to it over network ("tcp", "udp"), with TLS where the cluster has
// it and network is a stream. target is where the caller wanted to go, "" if
// that is not known. After an error, Connection.Host is the host that was
// tried, "" if none could be chosen. The error is a *stream.Error.
func (c *Cluster) Connect(ctx context.Context, network, target string, tried []string) (Connection, error) {
	start := time.Now()
	ch, _, err := c.pick(ctx, &stream.Request{Tried: tried, Target: target}, nil)
	if err != nil {
		e := stream.AsError(err)
		return Connection{}, &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: e.Op, Err: e.Err}
	}
	host := ch.host
	dctx, cancel := context.WithTimeout(ctx, c.connectTimeout())
	defer cancel()
	var nc net.Conn
	if network == "tcp" {
		nc, err = c.dial(dctx, host, nil)
	} else {
		nc, err = c.connect(dctx, network, host.Address)
	}
	done := func(err error) {
		host.Disconnected()
		host.End()
		outcome := lb.Outcome{Err: err, Duration: time.Since(start)}
		if ch.reporter != nil {
			ch.reporter.Done(host, outcome)
		}
		if c.detector != nil {
			c.detector.Done(host, outcome)
		}
	}
	host.Begin()
	host.Connected()
	if err != nil {
		done(err)
		return Connection{Host: host.Address}, &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Retry: true, Err: err}
	}
	return Connection{Conn: nc, Host: host.Address, Done: done}, nil
}
