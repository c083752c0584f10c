// Package memory is the broker of type `in-memory`: the reference for every
// other broker, and good enough for tests, demos and events inside one process.
//
// Each consumer group of a topic has a queue of its own. It comes into being with
// the first subscription and stays when the subscribers go, so that an application
// that restarts finds what was published meanwhile; a message of a topic that
// nobody has subscribed to yet is dropped, as there is nobody to keep it for.
//
// Publish only queues: it never waits for a handler, and for room in a full queue
// at most `publishTimeout`. In a queue without subscribers the oldest messages
// give way instead, or one group that is gone would stop all publishers.
//
// A message whose handler fails comes again after a pause that doubles each time,
// behind what has arrived meanwhile. Nothing survives the end of the process.
package memory
