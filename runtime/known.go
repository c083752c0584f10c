package runtime

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/proxy"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// ConfigOptions returns what the loader has to know of the tables to check a
// file against them, and to make its schema.
func (t Tables) ConfigOptions() config.Options {
	known := proxyconfig.Known{
		NetworkFilters: []string{proxy.ProxyFilter, proxy.TCPFilter, config.GRPCFilterType},
		StreamFilters:  []string{actuator.FilterName},
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

func kind[T any](section string, rows []components.Row[T]) config.Kind {
	k := config.Kind{Section: section}
	for _, r := range rows {
		k.Types = append(k.Types, config.Type{Name: r.Type, Doc: r.Doc, Metadata: r.Metadata})
	}
	return k
}
