// Package runtimetest starts the whole runtime inside a test: configuration
// file, components, proxy core and API, as the binary does it, on free ports of
// the loopback interface. It is for tests only.
package runtimetest
