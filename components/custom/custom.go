// Package custom is the contract of components of a user's own kinds: whoever
// embeds the runtime gives it rows for them, and gets the made components by kind
// and name.
package custom

// Component is any value; if it has a method Close() error, that is called when
// the runtime ends.
type Component any
