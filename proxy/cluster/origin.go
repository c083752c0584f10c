package cluster

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

const (
	// mostOrigins is the most hosts that an ORIGINAL_DST cluster knows at a time.
	mostOrigins = 8192
	// originIdle is how long a host without requests is remembered.
	originIdle = time.Minute
)

// origin makes the hosts of an ORIGINAL_DST cluster as requests ask for them,
// and forgets those that nobody asks for any more.
type origin struct {
	cfg config.OriginalDst

	mu    sync.Mutex
	hosts map[string]*original
	// sweeper forgets hosts; nil while there are none.
	sweeper *time.Timer
	state   state
}

// original is a host that a request asked for.
type original struct {
	host *upstream.Host
	slot *slot
	used time.Time
}

// adoptOrigin makes the origin, or takes it over from before.
func (c *Cluster) adoptOrigin(before *Cluster, same bool) {
	if c.cfg.Type != typeOriginalDst && c.cfg.LBType != OriginalDst {
		return
	}
	if same && before.origin != nil && reflect.DeepEqual(before.cfg.OriginalDstLBConfig, c.cfg.OriginalDstLBConfig) {
		c.origin = before.origin
		return
	}
	c.origin = &origin{hosts: make(map[string]*original)}
	if c.cfg.OriginalDstLBConfig != nil {
		c.origin.cfg = *c.cfg.OriginalDstLBConfig
	}
}

// address returns where req wants to go.
func (o *origin) address(req *stream.Request) (string, error) {
	address := req.Target
	if o.cfg.UseHeader {
		name := o.cfg.HeaderName
		if name == "" || strings.EqualFold(name, "host") || name == ":authority" {
			name, address = "Host", req.Authority
		} else {
			address = req.Header.Get(name)
		}
		if address == "" {
			return "", stream.Errorf(stream.NoHost, stream.Local, "the request has no header field %s, which says where it goes", name)
		}
	}
	if address == "" {
		return "", stream.Errorf(stream.NoHost, stream.Local,
			"it is not known where the caller wanted to go: the connection was not captured (use_original_dst of the listener)")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), "80"
		if req.Scheme == "https" {
			port = "443"
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, " /\\@%\x00") {
		return "", stream.Errorf(stream.NoHost, stream.Local, "%.100q is no address to go to", address)
	}
	if o.cfg.ReplaceLocal {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// pick returns the host that req asks for, or that was chosen before.
func (o *origin) pick(c *Cluster, req *stream.Request, host *upstream.Host) (*upstream.Host, *slot, error) {
	address := ""
	if host != nil {
		address = host.Address
	} else {
		var err error
		if address, err = o.address(req); err != nil {
			return nil, nil, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.hosts[address]
	if known == nil {
		if len(o.hosts) >= mostOrigins {
			return nil, nil, &stream.Error{Kind: stream.Overload, Retry: true, Op: fmt.Sprintf("requests go to %d hosts already", mostOrigins)}
		}
		known = &original{host: upstream.NewHost(config.Host{Address: address}, nil), slot: newSlot(o.state)}
		if o.state == inUse {
			o.hosts[address] = known
			if o.sweeper == nil {
				o.sweeper = time.AfterFunc(originIdle, o.sweep)
			}
		}
	}
	known.used = time.Now()
	return known.host, known.slot, nil
}

// sweep forgets the hosts that nobody asked for.
func (o *origin) sweep() {
	o.mu.Lock()
	var idle []*slot
	for address, h := range o.hosts {
		if h.host.Active() == 0 && time.Since(h.used) >= originIdle {
			idle = append(idle, h.slot)
			delete(o.hosts, address)
		}
	}
	if o.sweeper = nil; len(o.hosts) > 0 && o.state == inUse {
		o.sweeper = time.AfterFunc(originIdle, o.sweep)
	}
	o.mu.Unlock()
	for _, s := range idle {
		s.end(retired)
	}
}

// end lets go of all hosts.
func (o *origin) end(to state) {
	o.mu.Lock()
	o.state = max(o.state, to)
	if o.sweeper != nil {
		o.sweeper.Stop()
		o.sweeper = nil
	}
	hosts := o.hosts
	if to = o.state; to == retired {
		o.hosts = make(map[string]*original)
	}
	o.mu.Unlock()
	for _, h := range hosts {
		h.slot.end(to)
	}
}
