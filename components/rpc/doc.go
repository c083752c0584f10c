// Package rpc is the contract of service invocation: an Invoker takes a Request
// for a service by its id and returns the service's Response.
//
// Package mesh below it is the Invoker that goes through the proxy core; in
// configurations it is called "mosn".
package rpc
