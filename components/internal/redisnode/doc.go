// Package redisnode connects locks and sequencers to Redis: to one server, or to
// the master that sentinels know. It holds the settings, under the names that
// Layotto and Dapr have for them, and knows which failures say that nothing was
// sent, so that only what is harmless is sent again.
//
// It does not do clusters, and nothing with the data.
package redisnode
