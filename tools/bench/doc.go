// Command bench measures Ottavo against the calls that an application would
// make without it, and prints medians and ratios of one run.
//
// Every part is a process of its own: the services, the client that makes the
// load, and the sidecar (bin/ottavo). Paths are measured in turns (A B C A B C
// …), so that a busy moment of the machine hits all of them, and compared by the
// medians of their rounds. Everything is bounded in count and time, and only
// addresses of the loopback interface are used.
//
// A scenario is one file: a function and a row in the table of scenario.go. The
// output is a table for people, then lines `key=value` for programs. The exit
// code is 1 when a call failed or the sidecar did not start.
//
// CPU time and memory are read from /proc, so those numbers are there on Linux
// only.
package main
