package lb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Options are what a cluster's configuration says to its balancer. The zero
// value says nothing.
type Options struct {
	// Config is the cluster's "lbconfig"; nil if it has none.
	Config map[string]any
	// SlowStart is the cluster's "slow_start"; nil if it has none.
	SlowStart *config.SlowStart
	// ConnectTimeout and IdleTimeout are those of the cluster; 0 is not set.
	ConnectTimeout, IdleTimeout time.Duration
	// Path is where the cluster stands in the configuration: "clusters[0]".
	Path string
}

// Row is one entry of a Table.
type Row struct {
	// Name is what configurations call the policy, for example LB_RANDOM.
	Name string
	// New makes the policy for one cluster. Warnings are what in the options has
	// no effect; an error that concerns the options is of type decode.Problems.
	// Nothing is started: New serves to check a configuration, too.
	New func(o Options) (p Policy, warnings decode.Problems, err error)
}

// Builtin returns the rows of the policies in this package, the default first.
func Builtin() []Row {
	return []Row{
		{Name: "LB_ROUNDROBIN", New: without(RoundRobin)},
		{Name: "LB_RANDOM", New: without(Random)},
		{Name: "LB_WEIGHTED_ROUNDROBIN", New: weighted},
		{Name: "LB_LEAST_REQUEST", New: leastRequest},
		{Name: "LB_LEAST_CONNECTION", New: leastConnection},
		{Name: "LB_MAGLEV", New: without(maglev)},
		{Name: "LB_REQUEST_ROUNDROBIN", New: without(requestRoundRobin)},
		{Name: "LB_PEAK_EWMA", New: peakEWMA},
	}
}

// none is the struct of options of a policy that has none.
type none struct{}

// without is the constructor of a policy that has no options.
func without(policy func() Policy) func(Options) (Policy, decode.Problems, error) {
	return func(o Options) (Policy, decode.Problems, error) {
		_, warnings, err := options(o, none{})
		if err != nil {
			return nil, warnings, err
		}
		return policy(), append(warnings, o.slowStartUnused()...), nil
	}
}

// options decodes "lbconfig" over the defaults.
func options[T any](o Options, defaults T) (T, decode.Problems, error) {
	if len(o.Config) == 0 {
		return defaults, nil, nil
	}
	warnings, err := decode.Into(&defaults, o.Config, decode.Join(o.Path, "lbconfig"))
	return defaults, warnings, err
}

// slowStartUnused warns if there is a slow start, for policies that know none.
func (o Options) slowStartUnused() decode.Problems {
	if o.SlowStart == nil || o.SlowStart.Duration == 0 {
		return nil
	}
	return decode.Problems{{
		Path: decode.Join(o.Path, "slow_start"), Message: "has no effect: this balancer does not go by weight",
		Remedy: "LB_WEIGHTED_ROUNDROBIN, LB_LEAST_REQUEST, LB_LEAST_CONNECTION and LB_PEAK_EWMA do",
	}}
}

// Table says which policies there are. It does not change.
type Table struct{ rows []Row }

// NewTable makes a Table of rows. The first is the policy of clusters that name none.
func NewTable(rows ...Row) (*Table, error) {
	t := &Table{rows: slices.Clone(rows)}
	for i, r := range rows {
		if r.Name == "" || r.New == nil {
			return nil, fmt.Errorf("balancer table: row %d (%q) lacks a name or a constructor", i, r.Name)
		}
		if slices.ContainsFunc(rows[:i], func(o Row) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("balancer table: %s is there twice", r.Name)
		}
	}
	return t, nil
}

// Names returns the names of the policies, the default first.
func (t *Table) Names() []string {
	names := make([]string, len(t.rows))
	for i, r := range t.rows {
		names[i] = r.Name
	}
	return names
}

// Policy makes the policy called name for one cluster; "" is the default.
// Warnings are what in the options has no effect. The error is of type
// decode.Problems; that for an unknown name lists the known ones.
func (t *Table) Policy(name string, o Options) (p Policy, warnings decode.Problems, err error) {
	at := decode.Join(o.Path, "lb_type")
	for i, r := range t.rows {
		if r.Name != name && (name != "" || i > 0) {
			continue
		}
		p, warnings, err = r.New(o)
		if err != nil {
			return nil, warnings, decode.AsProblems(fmt.Errorf("%s: %w", r.Name, err), at)
		}
		return p, warnings, nil
	}
	remedy := "known: " + strings.Join(t.Names(), ", ")
	if near := decode.Nearest(name, t.Names()); near != "" {
		remedy = fmt.Sprintf("did you mean %q? %s", near, remedy)
	}
	return nil, nil, decode.Problems{{Path: at, Message: fmt.Sprintf("unknown load balancer %q", name), Remedy: remedy}}
}
