// Package configuration is the contract of stores of configuration: texts under
// keys, in groups and under labels, with tags, that can be watched. Its suite is
// configurationtest, its reference the backend memory.
//
// It also has what every backend needs to keep the contract of Watch: a Board, on
// which a backend writes down what it knows, and from which any number of
// watchers are told, each at its own speed.
//
// It never reads or writes a server itself.
package configuration
