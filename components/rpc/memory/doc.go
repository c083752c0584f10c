// Package memory is an rpc.Invoker whose services are functions of this process.
// Nothing leaves the process and nothing is encoded, but a service and its caller
// share no memory, as if a network lay between them.
//
// It is for programs that embed the runtime and for their tests: a row of
// runtime.Tables.Invokers that returns one lets the API's InvokeService reach the
// program's own functions. No configuration can name it otherwise, since a
// configuration holds no functions. It is the reference of package rpctest, too.
package memory
