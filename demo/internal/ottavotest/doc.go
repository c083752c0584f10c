// Package ottavotest is what the tests of the demos share: files of the
// repository, the real binary as a process, and what can be seen of a process
// from outside. It is for tests only.
package ottavotest
