// Package redisnode connects components to Redis: to one server, to the master that
// sentinels know, or to a cluster. It holds the settings, under the names that
// Layotto and Dapr have for them, and knows which failures say that nothing was
// sent, so that only what is harmless is sent again; and it listens to what a server
// tells of its keys.
//
// It does nothing with the data.
package redisnode
