// Package proxytest is the harness of the proxy core's tests: a Server started
// from a snapshot, a network in memory with fake hosts on it, clients that
// reach a listener without a socket, and the records of what happened.
//
// EachProtocol runs one test for every protocol that the core speaks; a Rig is
// what such a test works with, and Protocols the list of them.
//
// Without sockets everything also works in a testing/synctest bubble, where
// timeouts take no time. The package tests nothing itself and is used by tests
// only: its functions end the test when something is wrong.
package proxytest
