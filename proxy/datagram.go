package proxy

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
	"github.com/ottavo-runtime/ottavo/proxy/udp"
)

// UDPFilter is the name of the network filter that passes datagrams on to a
// cluster: the only one that a listener whose network is udp can have.
const UDPFilter = "udp_proxy"

// udpNetwork is the network of such a listener.
const udpNetwork = "udp"

// datagrams is a listener for datagrams. It has no connections, so what it
// does is decided once; only the clusters it sends to are those of the moment.
type datagrams struct {
	cfg    config.Listener
	proxy  *udp.Proxy
	socket net.PacketConn
	// cancel ends it.
	cancel context.CancelFunc
}

// newDatagrams makes a listener for datagrams and opens its socket.
func (s *Server) newDatagrams(ctx context.Context, cfg config.Listener, path string) (*datagrams, error) {
	if len(cfg.FilterChains) != 1 || len(cfg.FilterChains[0].Filters) != 1 || cfg.FilterChains[0].Filters[0].Type != UDPFilter {
		return nil, decode.Problems{{Path: path + ".filter_chains", Message: "a listener for udp needs exactly one network filter, " + UDPFilter}}
	}
	at := decode.At(path+".filter_chains[0].filters", 0) + ".config"
	var uc config.UDPProxy
	if _, err := decode.Into(&uc, cfg.FilterChains[0].Filters[0].Config, at); err != nil {
		return nil, err // warnings were given by Validate
	}
	if uc.IdleTimeout == 0 {
		uc.IdleTimeout = cfg.ConnectionIdleTimeout
	}
	p, err := udp.New(uc, udp.Deps{
		Listener: cfg.Name, Path: at, Log: s.opts.Log, Record: s.recordL4,
		Dial: func(ctx context.Context, a l4.Attempt) (l4.Upstream, error) {
			s.mu.Lock()
			clusters := s.clusters
			s.mu.Unlock()
			return dialL4(clusters)(ctx, a)
		},
	})
	if err != nil {
		return nil, err
	}
	d := &datagrams{cfg: cfg, proxy: p}
	if d.socket, err = udp.Listen(ctx, strings.TrimPrefix(cfg.Address, "udp:"), cfg.ReusePort); err != nil {
		return nil, decode.Problems{{Path: path + ".address", Message: fmt.Sprintf("listener %q: %v", cfg.Name, err)}}
	}
	return d, nil
}

// startDatagrams begins to serve d if the server runs. mu is held.
func (s *Server) startDatagrams(d *datagrams) {
	if !s.running || d.cancel != nil {
		return
	}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(s.base)
	s.work.Go(func() {
		if err := d.proxy.Serve(ctx, d.socket); err != nil {
			s.fail(fmt.Errorf("listener %q: %w", d.cfg.Name, err))
		}
	})
}

// end ends d, with all its sessions. Server.mu is held.
func (d *datagrams) end() {
	if d.cancel != nil {
		d.cancel()
		return
	}
	_ = d.socket.Close()
}

// planDatagrams finds out what becomes of a listener for datagrams: it stays
// if nothing about it has changed.
func (p *plan) planDatagrams(ctx context.Context, cfg config.Listener, path string) error {
	old := p.packetsRemoved[cfg.Name]
	if old != nil && reflect.DeepEqual(old.cfg, cfg) {
		delete(p.packetsRemoved, cfg.Name)
		return nil
	}
	if old != nil && old.cfg.Address == cfg.Address && !cfg.ReusePort {
		return decode.Problems{{
			Path: path, Message: fmt.Sprintf("the udp listener %q cannot change while it has its address", cfg.Name),
			Remedy: "set reuseport: true from the start, give it another address, or restart",
		}}
	}
	d, err := p.s.newDatagrams(ctx, cfg, path)
	if err == nil {
		p.packetsAdded = append(p.packetsAdded, d)
	}
	return err
}

// status tells about d.
func (d *datagrams) status() ListenerStatus {
	stats := d.proxy.Stats()
	return ListenerStatus{
		Name: d.cfg.Name, Addr: d.socket.LocalAddr(), Serves: UDPFilter,
		Connections: int(stats.Sessions), Accepted: stats.Opened, Refused: stats.Refused,
	}
}
