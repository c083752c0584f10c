// Package grpccall calls any gRPC server that has reflection, with requests and
// answers as JSON. It is what `ottavo call` is made of.
//
// A Client asks the server what services it has (reflection v1, else v1alpha),
// finds a method by its full or short name, turns JSON documents into requests
// and answers into JSON, for unary calls and all kinds of streams. Nothing is
// known beforehand, so it works with services that were never compiled in.
//
// JSON is protobuf's own mapping, with one addition. Layotto's clients put plain
// bytes into a google.protobuf.Any without naming a type, which that mapping
// cannot say. So where an Any is wanted, a JSON text stands for its bytes, and
// an object without "@type" or a list for its own text, in compact form. An
// answer's Any that names no type, or a type that nobody knows, is written as
// {"value": …}: the bytes as a text, or in base64 if they are no UTF-8.
//
// The package reads no files and prints nothing. Servers are not trusted: what they
// send is bounded by the message size and in depth, and the descriptors that they
// send are checked.
package grpccall
