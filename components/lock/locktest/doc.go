// Package locktest is the suite that every lock store passes: it tells what the
// doc comments of package lock mean, in code. A store's own tests are one call of
// Run and whatever is special about it.
//
// History checks what many callers have seen, whatever happened to the store
// meanwhile: every call must have a moment between its begin and its end at which
// it took effect, so that all together make sense (linearizability).
//
// The package only uses a store from the outside and is not for production code.
package locktest
