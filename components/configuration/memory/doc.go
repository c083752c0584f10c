// Package memory is the configuration store of type `in-memory`: the reference for
// every other store, and good enough for tests and demos. Applications, groups,
// labels and tags count as anywhere else, and every change is told to everybody
// who watches.
//
// It never writes to disk: the items end with the process.
package memory
