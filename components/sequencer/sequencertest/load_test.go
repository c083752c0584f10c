package sequencertest

import (
	"fmt"
	"testing"
)

type complaints []string

func (*complaints) Helper() {}
func (c *complaints) Errorf(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// What must not be is found.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name             string
		all              []taken
		ordered, unorder int // complaints when order counts, and when it does not
	}{
		{"fine", []taken{{1, 0, 10}, {2, 11, 20}, {3, 12, 19}}, 0, 0},
		{"together", []taken{{2, 0, 10}, {1, 5, 20}}, 0, 0},
		{"backwards", []taken{{2, 0, 10}, {1, 11, 20}}, 1, 0},
		{"backwards over another", []taken{{5, 0, 10}, {6, 0, 100}, {4, 50, 60}}, 1, 0},
		{"twice", []taken{{2, 0, 10}, {2, 5, 20}}, 1, 1},
		{"zero", []taken{{0, 0, 10}}, 1, 1},
	} {
		for ordered, want := range map[bool]int{true: tt.ordered, false: tt.unorder} {
			var c complaints
			check(&c, tt.all, ordered)
			if len(c) != want {
				t.Errorf("%s, ordered %v: %q, want %d complaints", tt.name, ordered, c, want)
			}
		}
	}
}
