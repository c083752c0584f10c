// Package boltfile keeps a small database in one file (bbolt), for backends that
// need no server. What a damaged file does to the library, or to the machine that
// reads it through memory, is an error here: the process goes on, and nobody waits
// for locks that the library did not give back.
//
// It never repairs a file, and knows nothing of what is in it.
package boltfile
