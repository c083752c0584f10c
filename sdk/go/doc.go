// Package ottavo is the Go client of the runtime: typed calls instead of
// protobuf messages, a context first in each of them, and one kind of error.
//
//	client, err := ottavo.Dial(ottavo.DefaultAddress)
//	...
//	defer client.Close()
//	orders := client.State("orders")
//	err = orders.Save(ctx, "order-1", []byte("3 apples"), ottavo.TTL(time.Hour))
//	item, err := orders.Get(ctx, "order-1")
//	answer, err := client.Invoke(ctx, "HelloService:1.0", &ottavo.Request{Method: "/hello"})
//
// Every call ends with its context. A call without a deadline may wait for as
// long as the runtime does, so give it one.
//
// A call that fails returns an *Error, with the gRPC code and, where the runtime
// gave one, a reason for programs; what could not be sent at all is another error.
//
// The package needs nothing but spec/proto and gRPC. It keeps nothing between
// calls, repeats none and starts no goroutines besides gRPC's own. Each
// capability is a file; a call that is not here yet can be made with the
// generated client (API).
package ottavo
