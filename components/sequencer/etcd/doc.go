// Package etcd is the sequencer of type `etcd`.
//
// A sequence is a key. Its number is the version of the key, which etcd raises with
// every write, plus the number that is its value ("" is 0). Each call writes the value
// that makes the sum right, if nobody has written meanwhile; single ids leave it as
// it is. As Layotto counts versions only, and writes "", this goes
// on where Layotto has stopped; but both at once count wrong as soon as there is a
// value. A key that is deleted begins anew.
//
// What a majority of etcd has counted is not lost.
package etcd
