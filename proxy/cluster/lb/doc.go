// Package lb chooses the host of a cluster that a request goes to.
//
// A Policy is a way of choosing ("round robin"). From a set of hosts it makes a
// Picker, which is asked once per attempt. When the set changes, the cluster
// makes a new Picker; whether a host is healthy is read at each Pick.
//
// Policies come in three kinds. Some hand out turns, one after the other, each
// host as often as it is worth (round robin; weighted; the others where weights
// differ): who has the next turn is taken over from Picker to Picker. Some draw
// a few hosts at random and take the best (least request, PeakEWMA). One goes
// by a hash of the request (Maglev).
//
// A Table says which policies there are, by the names that configurations use.
// It is a value handed to whoever builds clusters: there is no registry, and an
// unknown name is an error, never another policy.
//
// The package opens no connections, starts no goroutines and decides nothing
// about a host's health.
package lb
