// Package fault delays requests, or answers them with an error status, on
// purpose: to try out what a caller does when a service is slow or fails.
//
// What is done is configured for the listener, and for single routes in its
// place (per_filter_config). A share of the requests, chosen at random, is
// delayed; of all, independently, another share is answered. A request that is
// answered never reaches a host, and no other layer takes part in the answer.
//
// The package never changes a request and keeps nothing of it.
package fault
