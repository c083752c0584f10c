//go:build race

package layotto_test

// raceEnabled says that everything is slow.
const raceEnabled = true
