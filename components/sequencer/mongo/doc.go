// Package mongo is the sequencer of type `mongo`.
//
// A sequence is a document with the key as its id and its last number in the field
// sequence_value, raised in one step, as Layotto has it; its sidecars and this one
// can count together. Neither transactions nor a replica set are needed.
package mongo
