// Package transcoder is the stream filter that converts calls between protocols
// that the core cannot convert by itself: HTTP with JSON on one side, Bolt or
// Dubbo on the other. What it can convert is a table of Converters that is handed
// to Spec.
//
// # One request
//
// A caller sends POST /com.shop.Pay/refund with the body ["A7",12] over HTTP/1 to
// a listener whose filter is of type http2dubbo:
//
//  1. The listener's protocol makes a stream.Request of it. The router finds the
//     route, and with it the cluster and the time there is.
//  2. This filter stands behind the route. It asks the route, else the listener,
//     for the first rule that matches, and whose converter takes the protocol.
//  3. It reads the body, up to max_body_size and the request's deadline.
//  4. It makes a copy of the request; the caller's own stays what it was for the
//     access log. The converter makes the copy a call: method refund, header
//     field service, the arguments in Hessian 2 with types that the rule or the
//     caller has said. The protocol to speak with the host is that of the route
//     if the converter can lead there, else its own.
//  5. The copy goes on: mirrors, retries, cluster, pool, and the codec of Dubbo,
//     which builds a frame of it.
//  6. The answer is read whole, under the same limit. The converter makes JSON of
//     the value, fields of the attachments, an HTTP status of the service's
//     status, and an error in JSON of an exception.
//  7. The filter closes the host's answer and returns its own.
//
// Where the answer is an error of the core (no host, too late), the filter returns
// it as it is: the caller's protocol has its own way to say it. What cannot be
// converted is a Refusal, with a text that says why.
//
// With receiver_phase 0 the filter stands before the router, so that routes see
// the converted call. A second filter then sets the hosts' protocol once the route
// is known.
//
// # What it never does
//
// It streams nothing: a body that is converted is held whole. It keeps no state
// between requests, and changes nothing of a request that no rule is for. It takes
// no call of $invoke from HTTP, and no attachment by which a caller would choose how
// a service reads values. Bytes of both sides may be hostile; see package hessian.
package transcoder
