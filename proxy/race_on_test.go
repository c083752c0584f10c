//go:build race

package proxy_test

// raceEnabled: memory is not what it is without.
const raceEnabled = true
