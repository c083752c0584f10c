// Package snowflake is the sequencer of type `snowflake`: ids that are made without
// asking anybody, of 63 bits: seconds since startTime, the number of the worker, and
// a count within the second, each as wide as is configured.
//
// Each start takes the next number of a worker from a table in MySQL, so that no two
// processes ever have the same; when the numbers are used up, that is an error. Ids
// of a key grow within a process. Between processes they grow from second to second
// only: this is the one sequencer whose strong ids are not in order everywhere.
//
// A clock that goes back is waited for, for reqTimeout at most, and so is the next
// second when the count of this one is used up; then it is an error. Until when a key
// had ids is kept in a second table, so that a process that is started when the clock
// has gone back does not make smaller ones; it is written every minute and with Close.
package snowflake
