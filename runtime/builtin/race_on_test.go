//go:build race

package builtin

// raceEnabled says that the race detector watches.
const raceEnabled = true
