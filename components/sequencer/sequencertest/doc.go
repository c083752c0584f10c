// Package sequencertest is the suite that every sequencer passes: it tells what
// the doc comments of package sequencer mean, in code. A backend's own tests are
// one call of Run and whatever is special about it.
//
// Load is the check for faults: it takes ids while something happens to the
// backend, and knows afterwards whether each was given out once, and in order.
//
// The package only uses a sequencer from the outside and is not for production code.
package sequencertest
