package decode

// Nearest returns the known name that name was probably meant to be, or "" when
// none is close. Case, "_", "-" and "." make no difference; a missing, added,
// changed or swapped letter counts one, and about one letter in three may be
// wrong. Of equally close names the first wins.
func Nearest(name string, known []string) string {
	const longest = 64
	want := []rune(squash(name))
	if len(want) == 0 || len(want) > longest {
		return ""
	}
	best, bestDistance := "", longest
	for _, candidate := range known {
		have := []rune(squash(candidate))
		if len(have) == 0 || len(have) > longest {
			continue
		}
		d := distance(want, have)
		if d < bestDistance && d <= tolerance(min(len(want), len(have))) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// tolerance is how many letters may be wrong in a word of n.
func tolerance(n int) int {
	switch {
	case n <= 2:
		return 0
	case n <= 5:
		return 1
	default:
		return min(n/3, 4)
	}
}

// distance counts the letters to add, remove, change, or swap with the
// neighbour, to get from a to b.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
