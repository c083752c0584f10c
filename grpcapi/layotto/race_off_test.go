//go:build !race

package layotto_test

const raceEnabled = false
