// Package sequencer is the contract of makers of ids: numbers under a key, each
// greater than all that were given out before it and none given out twice.
//
// Most backends are a Counter: one number per key that can be raised. Count makes
// a Sequencer of it, with everything that they have in common. The ids of a
// sequence begin with 1; there may be gaps, as an id is lost when its caller goes
// away.
package sequencer
