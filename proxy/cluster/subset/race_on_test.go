//go:build race

package subset_test

const raceEnabled = true
