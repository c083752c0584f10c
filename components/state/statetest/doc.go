// Package statetest is the suite that every state store passes: it tells what
// the doc comments of package state mean, in code. A store's own tests are one
// call of Run and whatever is special about it.
//
// What a store declares in its Features and by its optional interfaces is
// tested; what it does not declare must be refused with state.ErrNotSupported.
//
// The package only uses a store from the outside and is not for production code.
package statetest
