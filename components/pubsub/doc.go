// Package pubsub is the contract of message brokers: what is published to a
// topic reaches every consumer group that subscribes to it, at least once.
//
// A consumer group is what shares the messages of a topic: each message goes to
// one of its subscribers, and to another one if that fails. A broker's group is
// fixed by its settings (`consumerID`, by default the application's id).
//
// The package knows nothing of what is in a message: envelopes are put on and
// taken off by the caller (grpcapi/capability). Package pubsubtest is the suite
// that every broker passes.
package pubsub
