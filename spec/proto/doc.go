// Package proto holds the definition of the gRPC API: the .proto sources in the
// folders below, the Go code that tools/proto/generate.sh makes of them, and
// the tests that keep both true to the contract. It has no code of its own.
//
// The Go packages are runtime/v1 (the Runtime, AppCallback and Lifecycle
// services), extension/v1/* (one per extension service) and pluggable/v1/*
// (components in a process of their own). README.md says how to generate
// clients in other languages.
package proto
