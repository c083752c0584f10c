// Package cli is the command line of ottavo: start, validate, schema, call, status
// and version. A main package gives it its tables of what is built in and calls
// Main, so that builds with different tables share all of it.
//
// Nothing here is global: the tree of commands is made for each run from Options,
// which bring the streams, the environment and the tables. A command prints what
// was asked for to standard output, errors as one line "ottavo: …" to standard
// error, and ends with 0 (done), 1 (failed) or 2 (called in a wrong way).
//
// The package does no work of its own: the runtime package runs, runtime/config
// checks files, grpccall calls.
package cli
