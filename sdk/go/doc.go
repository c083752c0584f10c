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
// Each capability is a file:
//
//	client.State("orders")              items: get, save, delete, transact
//	client.Invoke(...)                  calls of services
//	client.Configuration("settings")    items that change, and Watch
//	client.Lock("locks")                TryLock, and Hold, which renews
//	client.Sequencer("numbers")         ids
//	client.PubSub("events")             Publish, PublishLater, Subscribe; see also Callbacks
//	client.Files("files")               files, as streams
//	client.Bucket("objects", "photos")  objects, as streams
//	client.Binding("printer")           operations of other systems
//	client.Secrets("vault")             secrets
//	client.Cipher("keys")               Encrypt, Decrypt
//	client.SendMail, SendSMS, CallPhone messages to people
//	client.ApplyConfiguration(...)      new settings for a component
//
// It keeps nothing between calls, and repeats none unless RetryReads says so; only
// Watch, Subscribe and Hold, which go on, look for a lost runtime again. They
// have no goroutine left when they have returned, or were released.
//
// # What it brings along
//
// Importing the package compiles spec/proto, gRPC and protobuf and what those two
// need, and nothing of the server; TestLight holds it to that. The server is in the same
// module, and its dependencies are named in that module's go.mod, but the go command fetches
// only modules whose packages are needed: six for a build, a few more for `go mod tidy`,
// which also looks at the tests of this package. No replace and no go.mod of its own
// are needed.
package ottavo
