package proxy

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
)

// Known returns what a snapshot is checked against (config.Snapshot.Validate)
// that a Server with these tables is to run: the names that they have, and all
// that making the parts of a snapshot finds wrong with them. Nothing is kept of
// what is made, nothing connected to. Any of the tables may be nil.
func Known(protocols *protocol.Table, balancers *lb.Table, filters *filter.Table, extensions []tlscontext.Extension) config.Known {
	known := config.Known{
		ListenerFilters: []string{origdst.FilterType},
		NetworkFilters:  []string{ProxyFilter, TCPFilter, UDPFilter},
		TLS: func(list []config.TLS, server bool, path func(i int) string) (warnings, errs decode.Problems) {
			return checkTLS(list, extensions, server, path)
		},
		Capture: func(l *config.Listener, path string) (warnings, errs decode.Problems) {
			_, warnings, err := origdst.Parse(l, path)
			return warnings, decode.AsProblems(err, path)
		},
		L4: func(cfg config.L4Proxy, path string) decode.Problems {
			_, err := l4.NewRoutes(cfg, path)
			return decode.AsProblems(err, path)
		},
	}
	if protocols != nil {
		known.Protocols, known.ProtocolAliases, known.RPC = protocols.Names(), protocols.Aliases(), protocols.Framed()
	}
	if filters == nil {
		filters, _ = filter.NewTable() // nothing is listed twice
	}
	known.StreamFilters = filters.Names()
	known.Filter = func(ext config.Extension, path string) decode.Problems {
		return decode.AsProblems(filters.Check(ext, path), path)
	}
	known.Router = func(r *config.Router, path string) (warnings, errs decode.Problems) {
		_, warnings, err := router.New(*r, router.Options{FilterConfig: func(name string, cfg any, path string) (any, error) {
			return filters.Route(filter.Env{Log: slog.New(slog.DiscardHandler), Path: path}, name, cfg)
		}}, path)
		return warnings, decode.AsProblems(err, path)
	}
	if protocols != nil && balancers != nil {
		known.Balancers = append(balancers.Names(), cluster.OriginalDst)
		known.Cluster = func(c *config.Cluster, path string) (warnings, errs decode.Problems) {
			_, warnings, err := cluster.New(*c, cluster.Tables{Balancers: balancers, Protocols: protocols, Extensions: extensions}, nil, path)
			errs = slices.DeleteFunc(decode.AsProblems(err, path), func(p decode.Problem) bool {
				return strings.HasPrefix(p.Path, path+".tls_context") // TLS has said it
			})
			return warnings, errs
		}
	}
	return known
}

// checkTLS makes what the server would make of TLS contexts: that finds files
// that cannot be read, certificates without their key and names that crypto/tls
// does not know.
func checkTLS(list []config.TLS, extensions []tlscontext.Extension, server bool, path func(i int) string) (warnings, errs decode.Problems) {
	if server {
		_, w, err := tlscontext.NewServer(list, extensions, path)
		return w, decode.AsProblems(err, path(0))
	}
	for i, cfg := range list {
		_, w, err := tlscontext.NewClient(cfg, extensions, path(i))
		warnings, errs = append(warnings, w...), append(errs, decode.AsProblems(err, path(i))...)
	}
	return warnings, errs
}
