package cli

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0:         2000, // would be more; the most there is
		2 << 20:   1500, // 2 MiB alive, 30 MiB of garbage
		8 << 20:   300,
		16 << 20:  100,
		100 << 20: 100, // Go's own rule
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB alive: %d %%, want %d %%", live>>20, got, want)
		}
	}
}
