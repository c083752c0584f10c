// Package memory is the sequencer of type `in-memory`: the reference for every
// other one, for tests and demos. Its ids begin anew when the process does; for
// ids that survive there is the type `embedded`.
package memory
