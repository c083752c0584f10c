package proxy

import (
	"context"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tcp"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// TCPFilter is the name of the network filter that passes connections on to a
// cluster, byte by byte.
const TCPFilter = "tcp_proxy"

func (s *Server) buildTCP(ext config.Extension, cfg config.Listener, clusters *cluster.Manager, env filter.Env) (listener.Handler, error) {
	var proxy config.TCPProxy
	if _, err := decode.Into(&proxy, ext.Config, env.Path); err != nil {
		return nil, err // warnings were given by Validate
	}
	return tcp.New(proxy, tcp.Deps{
		Listener:    cfg.Name,
		Path:        env.Path,
		IdleTimeout: idleTimeout(cfg),
		Dial:        dialL4(clusters),
		Destination: destination,
		Record:      s.recordL4,
	})
}

// dialL4 lets packages tcp and udp reach the hosts of clusters.
func dialL4(clusters *cluster.Manager) l4.Dial {
	return func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
		c, ok := clusters.Get(a.Cluster)
		if !ok {
			return l4.Upstream{}, stream.Errorf(stream.NoCluster, stream.Local, "there is no cluster %q", a.Cluster)
		}
		target := ""
		if a.Destination.IsValid() {
			target = a.Destination.String()
		}
		up, err := c.Connect(ctx, a.Network, target, a.Tried)
		return l4.Upstream{Conn: up.Conn, Host: up.Host, Done: up.Done}, err
	}
}

// recordL4 tells of a connection that has ended.
func (s *Server) recordL4(r l4.Record) {
	args := []any{
		"listener", r.Listener, "cluster", r.Cluster, "host", r.Host, "source", r.Source.String(), "destination", r.Destination.String(),
		"attempts", r.Attempts, "sent", r.Sent, "received", r.Received, "connect", r.Connect, "duration", r.Duration, "end", r.End.String(),
	}
	if r.Err != nil {
		s.opts.Log.Warn("connection passed on", append(args, "error", r.Err)...)
		return
	}
	s.opts.Log.Debug("connection passed on", args...)
}
