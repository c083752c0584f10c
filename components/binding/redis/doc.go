// Package redis is the binding of type `redis`, an output: keys of one Redis server
// of version 5 and later (`get` with `delete` needs 6.2), of the master behind
// sentinels, or of a cluster.
//
// The key is in a request's metadata, as `key`. `create` sets it to the data, `get`
// returns what it holds (nothing, and no error, where there is none), with the
// metadata `delete: "true"` taking it away, `delete` removes it, and `increment` adds
// one. `create` and `increment` take a time to live: `ttlInSeconds` (or `ttl`), a
// number of seconds or a Go duration. That is what Dapr's binding does; here a time to
// live is set in the same step, in the case of `increment` by a script, which the user
// must have the right to run.
package redis
