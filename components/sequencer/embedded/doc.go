// Package embedded is the sequencer of type `embedded`: numbers in one file of
// this process, which survive its end, a crash of the machine included. Every id
// or segment is on disk before anybody gets it; callers who come together share
// one write.
//
// One process at a time has the file open; another one is refused after a second.
// The file holds a bucket `sequences` with a number of eight bytes, big endian,
// under each key, and a bucket `meta` with the version of the layout.
package embedded
