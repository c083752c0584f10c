package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// New makes a Runtime that is ready to Run: components are connected, sockets
// are open. On an error everything that had started is closed again, and the
// error names what failed. ctx bounds the making only.
func New(ctx context.Context, opts Options) (_ *Runtime, err error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	r := &Runtime{opts: opts, log: opts.Log, health: actuator.NewHealth()}
	defer func() {
		if err != nil {
			r.Close(ctx)
		}
	}()

	// 1. Components, each kind in the order of the configuration's names, and
	//    capabilities over them.
	api, err := r.capabilities(ctx)
	if err != nil {
		return nil, err
	}
	// 2. The proxy core, with two parts of ours handed in: the network filter
	//    that carries the API, and the stream filter that is the actuator.
	handler := &apiHandler{}
	if r.proxy, err = r.newProxy(ctx, handler); err != nil {
		return nil, err
	}
	if opts.Config.Runtime == nil {
		return r, nil
	}
	// 3. Invokers, whose channels lead into the core.
	invokers, err := r.newInvokers(ctx)
	if err != nil {
		return nil, err
	}
	api.RPC = capability.NewRPC(invokers)
	// 4. The API over the capabilities.
	r.api, err = grpcapi.New(grpcapi.Options{ //nolint:contextcheck // calls have contexts of their own
		Log:          opts.Log,
		MaxRecvBytes: opts.Config.Runtime.MaxRecvBytes,
		Services:     append([]grpcapi.Service{layotto.New(api)}, opts.Services...),
	})
	if err != nil {
		return nil, err
	}
	handler.server.Store(r.api)
	return r, nil
}

func (r *Runtime) newProxy(ctx context.Context, api *apiHandler) (*proxy.Server, error) {
	protocols, err := protocol.NewTable(r.opts.Tables.Protocols...)
	if err != nil {
		return nil, err
	}
	balancers, err := lb.NewTable(r.opts.Tables.Balancers...)
	if err != nil {
		return nil, err
	}
	choosers, err := router.NewChoosers(r.opts.Tables.Choosers...)
	if err != nil {
		return nil, err
	}
	act := &actuator.Actuator{Health: r.health, Info: r.info, App: actuator.App{
		Name: "ottavo", Version: r.opts.Version, Compiled: r.opts.Compiled, Started: time.Now(),
	}}
	filters, err := filter.NewTable(append([]filter.Spec{act.Spec()}, r.opts.Tables.Filters...)...)
	if err != nil {
		return nil, err
	}
	return proxy.New(ctx, proxy.Options{
		Log: r.log, Protocols: protocols, Balancers: balancers, Choosers: choosers, Filters: filters, Paths: r.opts.Config.Paths, Known: r.opts.Tables.ConfigOptions().Known,
		Network: map[string]proxy.NetworkFilter{
			config.GRPCFilterType: func(filter.Env, map[string]any) (listener.Handler, error) { return api, nil },
		},
	}, r.opts.Config.Proxy)
}

func (r *Runtime) newInvokers(ctx context.Context) (map[string]rpc.Invoker, error) {
	invokers := make(map[string]rpc.Invoker)
	var errs []error
	for _, c := range r.opts.Config.Runtime.Components[config.RPCs] {
		inv, secrets, err := r.newInvoker(ctx, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("rpc component %q (type %s): %w", c.Name, c.Type, err))
			continue
		}
		invokers[c.Name] = inv
		r.invokers = append(r.invokers, inv)
		r.keep(part{section: config.RPCs, kind: "rpc", name: c.Name, typ: c.Type, secrets: secrets})
	}
	return invokers, errors.Join(errs...)
}

// newInvoker makes one; hidden is what nobody may see of its settings.
func (r *Runtime) newInvoker(ctx context.Context, c config.Component) (rpc.Invoker, hidden, error) {
	i := slices.IndexFunc(r.opts.Tables.Invokers, func(row Invoker) bool { return row.Type == c.Type })
	if i < 0 {
		var known []string
		for _, row := range r.opts.Tables.Invokers {
			known = append(known, row.Type)
		}
		return nil, nil, decode.Problems{{Path: c.Path, Message: fmt.Sprintf("unknown rpc type %q", c.Type), Remedy: "known types: " + strings.Join(known, ", ")}}
	}
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	c, secrets, err := r.inject(ctx, r.opts.Tables.invokerKind(), c)
	if err != nil {
		return nil, nil, err
	}
	env, cfg := r.surroundings("rpc", c)
	cfg.Checked = len(c.SecretRefs) == 0 // else the loader has not seen all of them
	inv, err := r.opts.Tables.Invokers[i].New(ctx, env, cfg, r.openChannel)
	return inv, secrets, secrets.in(err)
}

func (r *Runtime) openChannel(listener, protocol string, size int) (stream.Handler, func(), error) {
	ch, err := r.proxy.Channel(proxy.ChannelOptions{Listener: listener, Protocol: protocol, Size: size})
	if err != nil {
		return nil, nil, err
	}
	return ch, ch.Close, nil
}

// apiHandler is the network filter "grpc": it hands connections to the API.
// The server comes last, because what it serves needs the core; no connection
// is accepted before.
type apiHandler struct {
	server atomic.Pointer[grpcapi.Server]
}

// ServeConn implements listener.Handler.
func (h *apiHandler) ServeConn(ctx context.Context, c *conn.Conn) error {
	s := h.server.Load()
	if s == nil {
		return errors.New("the API is not ready")
	}
	return s.ServeConn(ctx, c)
}
