// Package rpctest holds the tests that every rpc.Invoker passes: that a call and its
// answer arrive as they were sent, what each kind of failure is, and that a call
// ends when it has to.
//
// Not every protocol can carry everything; an invoker declares what its can. What it
// does not declare it has to refuse, where the contract says so. Package
// components/rpc/memory is the reference: it has everything.
package rpctest
