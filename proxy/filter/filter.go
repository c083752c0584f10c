package filter

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Place is where in the chain a filter stands.
type Place uint8

// Places.
const (
	BeforeRoute Place = iota // sees every request of the listener, before a route is chosen
	AfterRoute               // sees requests with their route, before a host is chosen
	PerHost                  // sees every attempt, with its host
)

// Env is the surroundings a filter is made in.
type Env struct {
	Listener string
	Log      *slog.Logger
	// Path is where the filter's configuration stands, for messages.
	Path string
	// Clusters are those of the configuration; nil where a configuration is
	// only checked.
	Clusters Clusters
	// Go runs f in a goroutine that may go on after the request that began it.
	// ctx ends with the core, which waits for f. It returns false, and does not
	// run f, when the core is stopping. nil where a configuration is only checked.
	Go func(f func(ctx context.Context)) bool
	// Calls are the core's counters of RPC calls; nil where a configuration is
	// only checked.
	Calls *Calls
}

// Clusters lets filters send requests of their own, and take out hosts. Its
// methods do not block and are safe for concurrent use.
type Clusters interface {
	// Cluster returns the handler that sends requests to the cluster.
	Cluster(name string) (stream.Handler, bool)
	// Each returns a handler for each usable host of the cluster; nil if there
	// is none.
	Each(name string) []stream.Handler
	// Isolate takes a host out of use for a while; it comes back by itself, also
	// if the filter is gone by then. It reports whether there is such a host,
	// and it was not isolated before.
	Isolate(cluster, address string, d time.Duration) bool
	// Hosts counts the hosts of a cluster, and those of them that are isolated.
	Hosts(cluster string) (all, isolated int)
}

// Spec is one kind of filter.
type Spec struct {
	// Name is the type by which a configuration asks for it.
	Name  string
	Place Place
	// New makes the filter from its configuration, decoded by itself. A
	// mistake in it is an error of type decode.Problems.
	New func(env Env, config map[string]any) (stream.Filter, error)
	// Make is in the place of New and Place for a filter that stands in several
	// places; it makes them all.
	Make func(env Env, config map[string]any) (Places, error)
	// Route makes what a route or virtual host has to say to the filter
	// (per_filter_config) from its configuration: the filter finds it with
	// Request.Policy.Filter(Name). nil: routes have nothing to say to it.
	Route func(env Env, config any) (any, error)
}

// Table lists filters by name. It does not change.
type Table struct{ specs map[string]Spec }

// NewTable makes a table. A name that is listed twice is an error.
func NewTable(specs ...Spec) (*Table, error) {
	t := &Table{specs: make(map[string]Spec, len(specs))}
	for _, s := range specs {
		if _, dup := t.specs[s.Name]; dup {
			return nil, fmt.Errorf("filter: %q is listed twice", s.Name)
		}
		t.specs[s.Name] = s
	}
	return t, nil
}

// Names returns the names of all filters, sorted.
func (t *Table) Names() []string { return slices.Sorted(maps.Keys(t.specs)) }

// Check checks the configuration of one filter, which stands at path: it makes
// the filter and throws it away. The error is of type decode.Problems.
func (t *Table) Check(ext config.Extension, path string) error {
	spec, ok := t.specs[ext.Type]
	if !ok {
		return decode.Problems{t.unknown(ext.Type, path+".type")}
	}
	path += ".config"
	_, err := spec.build(Env{Log: slog.New(slog.DiscardHandler), Path: path}, ext.Config)
	return decode.AsProblems(err, path).Err()
}

// Route makes what a route says to the filters of a type (per_filter_config)
// from its configuration, which stands at env.Path. The error is of type
// decode.Problems.
func (t *Table) Route(env Env, name string, config any) (any, error) {
	spec, ok := t.specs[name]
	switch {
	case !ok:
		return nil, decode.Problems{t.unknown(name, env.Path)}
	case spec.Route == nil:
		return nil, decode.Problems{{
			Path: env.Path, Message: fmt.Sprintf("routes have nothing to say to a filter of type %q", name), Remedy: "configure it at the listener, under stream_filters",
		}}
	}
	v, err := spec.Route(env, config)
	return v, decode.AsProblems(err, env.Path).Err()
}

func (t *Table) unknown(name, path string) decode.Problem {
	return decode.Problem{Path: path, Message: fmt.Sprintf("unknown stream filter %q", name), Remedy: "known: " + strings.Join(t.Names(), ", ")}
}

// Places holds a chain's filters by place, in the order of the configuration.
type Places struct{ BeforeRoute, AfterRoute, PerHost []stream.Filter }

// Build makes the filters of a listener. env.Path leads to the list.
func (t *Table) Build(env Env, list []config.Extension) (Places, error) {
	var built Places
	var problems decode.Problems
	for i, ext := range list {
		fenv := env
		fenv.Path = fmt.Sprintf("%s[%d]", env.Path, i)
		spec, ok := t.specs[ext.Type]
		if !ok {
			problems = append(problems, t.unknown(ext.Type, fenv.Path+".type"))
			continue
		}
		fenv.Path += ".config"
		made, err := spec.build(fenv, ext.Config)
		if err != nil {
			problems = append(problems, decode.AsProblems(err, fenv.Path)...)
			continue
		}
		built.BeforeRoute = append(built.BeforeRoute, made.BeforeRoute...)
		built.AfterRoute = append(built.AfterRoute, made.AfterRoute...)
		built.PerHost = append(built.PerHost, made.PerHost...)
	}
	return built, problems.Err()
}

// build makes a filter, in the place or places that it has.
func (s Spec) build(env Env, config map[string]any) (Places, error) {
	if s.Make != nil {
		return s.Make(env, config)
	}
	f, err := s.New(env, config)
	if err != nil {
		return Places{}, err
	}
	one := []stream.Filter{f}
	switch s.Place {
	case AfterRoute:
		return Places{AfterRoute: one}, nil
	case PerHost:
		return Places{PerHost: one}, nil
	default:
		return Places{BeforeRoute: one}, nil
	}
}
