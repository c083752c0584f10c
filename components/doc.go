// Package components is what every kind of building block has in common: the
// Env a component is made in, the Config it is made from, and the Table that
// lists which types of a kind are built in.
//
// A kind is a package below this one (state, pubsub, lock, …). It holds one
// small interface, further optional abilities as interfaces of their own, and a
// conformance suite (<kind>test). A backend is a package below its kind; it
// offers one constructor that returns a ready value or an error, having closed
// what it had opened. There are no global registries: runtime/builtin lists the
// backends in tables and passes them on.
package components
