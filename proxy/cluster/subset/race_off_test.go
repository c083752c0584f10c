//go:build !race

package subset_test

const raceEnabled = false
