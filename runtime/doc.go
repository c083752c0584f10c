// Package runtime puts everything together: from a checked configuration and
// tables of what is built in it makes the components, the proxy core, the
// capabilities and the gRPC API, runs them, and stops them in order.
//
// wire.go connects the parts and reads from top to bottom in the order of the
// start; Shutdown goes the other way. The package knows kinds of components but
// no backend: those come in with the Tables (see runtime/builtin). Several
// runtimes can live in one process.
package runtime
