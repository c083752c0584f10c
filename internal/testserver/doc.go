// Package testserver starts real servers for tests: on free ports of the
// loopback address, with their files in the test's own folder, stopped when the
// test ends. A test whose server is not installed is skipped, and says what to
// install.
//
// It is for tests only and never talks to a server that it has not started.
package testserver
