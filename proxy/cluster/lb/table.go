package lb

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one entry of a Table.
type Row struct {
	// Name is what configurations call the policy, for example LB_RANDOM.
	Name string
	// New makes the policy for one cluster. options is the cluster's
	// "lbconfig", nil if it has none; a policy takes from it what it knows.
	New func(options map[string]any) (Policy, error)
}

// Builtin returns the rows of the policies in this package, the default first.
func Builtin() []Row {
	without := func(policy func() Policy) func(map[string]any) (Policy, error) {
		return func(map[string]any) (Policy, error) { return policy(), nil }
	}
	return []Row{
		{Name: "LB_ROUNDROBIN", New: without(RoundRobin)},
		{Name: "LB_RANDOM", New: without(Random)},
	}
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

// Policy makes the policy called name for one cluster; "" is the default. The
// error for an unknown name lists the known ones.
func (t *Table) Policy(name string, options map[string]any) (Policy, error) {
	for i, r := range t.rows {
		if r.Name == name || name == "" && i == 0 {
			p, err := r.New(options)
			if err != nil {
				return nil, fmt.Errorf("lb_type %s: %w", r.Name, err)
			}
			return p, nil
		}
	}
	return nil, fmt.Errorf("lb_type %q is not known; known are %s", name, strings.Join(t.Names(), ", "))
}
