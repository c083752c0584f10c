// Package dubbo is the codec of Dubbo 2 for package frame.
//
// # How a call shows
//
// The payload of a message is the whole body of its frame, in whatever
// serialisation that is. A request in Hessian 2 has these header fields, in
// this order, of what its body begins with:
//
//	dubbo    version of the protocol: "2.0.2"
//	service  the service's path, which mostly is its interface
//	version  the service's version; missing where the body has a null
//	method   the method's name, which is Message.Method as well
//
// then one for each attachment whose key and value are strings: "group",
// "interface" and whatever else there is, at most 512. Not shown are those that
// repeat the above ("path", "version", "dubbo", "service", "method"), and
// "timeout", in milliseconds, which is Message.Timeout. To get there the
// arguments are stepped over: nothing is made of them, so classes that nobody
// knows do no harm. Where they cannot be stepped over, the call has no
// attachments to show, and goes on all the same.
//
// A request in fastjson has the first four fields. One in another serialisation
// has none of them, and is forwarded as it is. An answer shows its status, and
// nothing of what is in it. What is not in Hessian 2 has the SerializationField.
//
// # What is built anew
//
// Where the header was changed, the body says what the header says: service,
// version, method and attachments, which are added, replaced, or dropped with
// their fields. The rest of it is copied. Attachments are added to an answer if
// the caller's version knows them. In other serialisations nothing can be
// changed: new fields have no place, and another method or service is an error.
//
// A request that did not come by Dubbo needs a body that is a call in Hessian 2,
// or in what SerializationField says. An answer that did not needs the field
// frame.StatusField with one of Dubbo's statuses to say that its body is Dubbo's.
// Without it, the HTTP status is put in Dubbo's terms, and the body is passed on
// as text.
//
// # Events
//
// Heartbeats are answered in their own serialisation. The event "R", of a peer
// that takes no more requests, is a frame.GoAway; other events that want no answer
// are ignored.
//
// Bytes of either side may be hostile: the time to read a call is linear in its
// length, and the depth of what it may hold is limited.
package dubbo
