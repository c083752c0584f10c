package cluster

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
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
// it and network is a stream. After an error, Connection.Host is the host that
// was tried, "" if none could be chosen. The error is a *stream.Error.
func (c *Cluster) Connect(ctx context.Context, network string, tried []string) (Connection, error) {
	host, err := c.another(tried)
	if err != nil {
		e := stream.AsError(err)
		return Connection{}, &stream.Error{Kind: e.Kind, Side: e.Side, Retry: e.Retry, Op: e.Op, Err: e.Err}
	}
	start := time.Now()
	timeout := c.cfg.ConnectTimeout
	if timeout <= 0 {
		timeout = config.DefaultConnectTimeout
	}
	dctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var nc net.Conn
	if network == "tcp" {
		nc, err = c.dial(dctx, host, nil)
	} else {
		var d net.Dialer
		nc, err = d.DialContext(dctx, network, host.Address)
	}
	done := func(err error) {
		host.End()
		if c.reporter != nil {
			c.reporter.Done(host, lb.Outcome{Err: err, Duration: time.Since(start)})
		}
	}
	host.Begin()
	if err != nil {
		done(err)
		return Connection{Host: host.Address}, &stream.Error{Kind: stream.Connect, Side: stream.Upstream, Retry: true, Err: err}
	}
	return Connection{Conn: nc, Host: host.Address, Done: done}, nil
}

// another picks a host that is not among tried, as long as the balancer offers one.
func (c *Cluster) another(tried []string) (host *upstream.Host, err error) {
	req := &stream.Request{Tried: tried}
	for range max(1, 2*len(c.hosts)) {
		if host, err = c.picker.Pick(req); err != nil || !slices.Contains(tried, host.Address) {
			return host, err
		}
	}
	for _, h := range c.hosts {
		if h.Healthy() && !slices.Contains(tried, h.Address) {
			return h, nil
		}
	}
	return host, nil
}
