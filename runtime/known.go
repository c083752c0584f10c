package runtime

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// ConfigOptions returns what the loader has to know of the tables to check a
// file against them, and to make its schema.
func (t Tables) ConfigOptions() config.Options {
	known := proxyconfig.Known{
		ListenerFilters: []string{origdst.FilterType},
		NetworkFilters:  []string{proxy.ProxyFilter, proxy.TCPFilter, proxy.UDPFilter, config.GRPCFilterType},
		StreamFilters:   []string{actuator.FilterName},
		TLS:             checkTLS,
		Capture: func(l *proxyconfig.Listener, path string) (warnings, errs decode.Problems) {
			_, warnings, err := origdst.Parse(l, path)
			return warnings, decode.AsProblems(err, path)
		},
		L4: func(cfg proxyconfig.L4Proxy, path string) decode.Problems {
			_, err := l4.NewRoutes(cfg, path)
			return decode.AsProblems(err, path)
		},
	}
	for _, p := range t.Protocols {
		known.Protocols = append(known.Protocols, p.Name())
	}
	for _, b := range t.Balancers {
		known.Balancers = append(known.Balancers, b.Name)
	}
	for _, f := range t.Filters {
		known.StreamFilters = append(known.StreamFilters, f.Name)
	}
	invokers := config.Kind{Section: "rpcs"}
	for _, i := range t.Invokers {
		invokers.Types = append(invokers.Types, config.Type{Name: i.Type, Doc: i.Doc, Metadata: i.Metadata})
	}
	return config.Options{Known: known, Kinds: []config.Kind{kind("hellos", t.Hellos), kind("state", t.States), invokers}}
}

// checkTLS makes what the proxy would make of TLS contexts, and keeps nothing of
// it: that finds files that cannot be read, certificates without their key and
// names that crypto/tls does not know.
func checkTLS(list []proxyconfig.TLS, server bool, path func(i int) string) (warnings, errs decode.Problems) {
	if server {
		_, w, err := tlscontext.NewServer(list, nil, path)
		warnings, errs = w, decode.AsProblems(err, path(0))
	} else {
		for i, cfg := range list {
			_, w, err := tlscontext.NewClient(cfg, nil, path(i))
			warnings, errs = append(warnings, w...), append(errs, decode.AsProblems(err, path(i))...)
		}
	}
	return warnings, errs
}

func kind[T any](section string, rows []components.Row[T]) config.Kind {
	k := config.Kind{Section: section}
	for _, r := range rows {
		k.Types = append(k.Types, config.Type{Name: r.Type, Doc: r.Doc, Metadata: r.Metadata})
	}
	return k
}
