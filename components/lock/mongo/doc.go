// Package mongo is the lock store of type `mongo`.
//
// A lock is a document with the resource as its id, the owner, for how long it was
// taken, and since when, by the server's own clock; whether it is over is asked of
// that clock too. So it ends when it was asked to, to within a round trip; when
// another server becomes primary, the difference between the two clocks comes on
// top. That somebody else holds a lock is an answer, not an error.
//
// The fencing token is counted in the document, and is at least the server's clock
// in milliseconds. So a lock that was given back leaves its document for a day, and
// MongoDB removes it then, as it does one that has expired.
//
// Neither transactions nor a replica set are needed. Layotto's documents, whose time
// cannot be known for sure, are respected until their field Expire has passed.
package mongo
