// Package nacos is the configuration store of type `nacos`: an item is a
// configuration of Nacos, whose data id is the key. Groups are Nacos' groups
// ("default" unless said otherwise); there are no labels and tags, no items without
// content, and all applications of a Nacos namespace share their items, so that an
// application's id is only noted beside what it writes.
//
// It speaks the HTTP API of Nacos 1 and 2 (/v1/cs/configs), not Nacos' Go SDK: that
// keeps its settings and its cache in variables and files of the process, cannot be
// closed without leaving goroutines behind, tells a failed read from a missing item
// only by texts, and speaks a gRPC protocol of its own to a second port.
//
// A watch of keys holds Nacos' long poll with the digests of what it knows, so that
// a change which came while the connection was down is noticed afterwards. A watch
// without keys reads the list again every few seconds beside that, because
// Nacos does not tell of data ids that nobody asked for.
package nacos
