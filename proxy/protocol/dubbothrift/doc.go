// Package dubbothrift is the codec of dubbo-thrift for package frame: Thrift's
// strict binary protocol behind a head that names the service and has a request
// id.
//
// The payload of a message is the struct in it: the arguments of a call, or its
// result. A request has the header fields "service" and "method", the latter
// being Message.Method as well; both can be changed. Thrift's own sequence number
// is the caller's and stays what it is. An answer's status is Thrift's type of
// message: Reply, or Exception, whose contents say which HTTP status that is.
//
// The protocol has one-way calls, but neither heartbeats nor a way to say
// good-bye. Bytes of either side may be hostile.
package dubbothrift
