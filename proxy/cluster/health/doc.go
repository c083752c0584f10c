// Package health asks the hosts of a cluster, again and again, whether they are
// well, and takes those that are not out of use until they are: it sets and
// clears upstream.CheckFailed. It chooses no hosts, keeps no connections and
// touches no other state of a host.
//
// A check is a new connection each time, closed when the answer is there: that
// a host still accepts connections is half of the question, and a kept one
// would hide it; and a thousand hosts cost a thousand timers, nothing more.
//
// What a host answers is not believed to be in any form: it is read in bounds,
// and whatever is not a good answer in time is a failed check.
package health
