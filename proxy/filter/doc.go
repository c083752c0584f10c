// Package filter lists the stream filters that a listener's configuration can
// ask for. Each filter is a package below this one, or is handed in by whoever
// builds the core (the runtime's actuator is one); a Table names them all.
//
// A filter is a stream.Filter: it wraps the handler behind it. Where in the
// chain it stands is its Place. This package runs nothing itself.
package filter
