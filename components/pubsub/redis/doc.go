// Package redis is the broker of type `redis`: streams of Redis 5 and later, on
// one server or the master behind sentinels. Not on a cluster.
//
// A topic is a stream, a consumer group a group of the stream; entries have the
// fields `data` and `metadata` (JSON). That is the layout of Dapr and Layotto, whose
// sidecars can share streams and groups with this one. A new group gets what the
// stream still holds.
//
// A message belongs to the process that has read it while that process lives: its
// claim is renewed as long as a handler runs or a redelivery is due. When a
// subscription ends, what is not acknowledged is given back at once; after a crash
// another member of the group takes it when processingTimeout has passed. A message
// whose handler fails comes again after a pause that doubles each time.
//
// Messages for later wait in a sorted set, by the server's clock, and are moved to
// their streams by any process that is connected.
//
// Health is that of publishing and, where there is a subscription, of reading: a check
// sends these commands for a topic that was in use (before, for the key
// `ottavo:delayed:health`, which need not be allowed and is never made) with an id that
// Redis refuses once it has looked at everything else. It changes nothing.
//
// A broker of our own instead of contrib's, because contrib's acknowledges a
// message whose handler has failed, and brings the clients of three clouds along.
package redis
