// Package subset chooses among those hosts of a cluster that have the labels
// which a request demands: a canary by its version, a host in the same zone.
//
// The configuration lists selectors, each a set of label names that may be
// demanded together. For each selector, and each combination of values that
// hosts have for its names, there is a subset: the hosts with these values. A
// request whose labels are those of a subset goes to one of its hosts, which a
// Picker of the cluster's own policy chooses, made for this subset alone when it
// is first needed. A request without labels goes to any host.
//
// Where the labels are those of no selector, no host has them, or no host that
// has them can be used, fall_back_policy says what becomes of the request: 0 it
// fails, and the error names the labels; 1 any host; 2 a host of default_subset.
//
// # How subsets are found
//
// Values are numbered, so that a host's labels are a row of small numbers; hosts
// are dealt out by the numbers of one label name after another, in the order of
// the names, sharing the work for selectors that begin alike. This takes time and
// memory in proportion to hosts times selectors, whatever the values. (Bitmaps
// for each value, intersected, are as fast for labels of few values; for two
// labels that differ from host to host, as names of pods do, there are as many
// intersections as pairs of hosts.) A subset is found by one step per label, no
// matter how many there are.
//
// The package decides nothing about a host's health, starts no goroutines and
// keeps nothing but its Pickers.
package subset
