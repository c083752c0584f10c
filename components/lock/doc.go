// Package lock is the contract of distributed locks: at most one owner holds a
// resource at a time, until it gives it back or its time is over.
//
// A lock says nothing about what its holder does after the time is over: a process
// that was paused may still believe that it holds the resource. What the lock
// guards can tell by the Grant's Token, if it remembers the greatest one it has seen.
//
// Nobody waits in a queue: whoever does not get the resource asks again, best
// after a pause of random length. The package never renews anything by itself, and
// never logs a resource or an owner.
package lock
