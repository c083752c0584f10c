// Package sql is the sequencer of the types `mysql` (MySQL and MariaDB) and
// `postgresql`: a table with a row for each sequence, which one statement raises.
//
// The table is made unless it is there: sequencer_key, bytes or a text, the primary
// key, and sequencer_value, an integer of 64 bits with the last number. What the
// database has committed is not lost.
package sql
