// Package netnstest gives tests network namespaces: machines of their own, as
// far as the network goes, with firewall rules and routes that harm nobody. It
// is for tests on Linux only, and for root or where user namespaces are
// allowed; a test that cannot have a namespace is skipped, with the reason.
//
// Main runs all tests of a package in a process with a network namespace of its
// own, Again a single test.
package netnstest
