package sdktest_test

import (
	"strings"
	"testing"
)

func TestSequencer(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, numbers := timeout(t), client.Sequencer("numbers")
	seen := make(map[int64]bool)
	var last int64
	for range 10 {
		id, err := numbers.Next(ctx, "weak")
		if err != nil || seen[id] {
			t.Fatalf("%d, %v: an id that was there before", id, err)
		}
		seen[id] = true
		if id, err = numbers.NextInOrder(ctx, "strong"); err != nil || id <= last {
			t.Fatalf("%d, %v: not greater than %d", id, err, last)
		}
		last = id
	}
	if _, err := client.Sequencer("nowhere").Next(ctx, "k"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
}
