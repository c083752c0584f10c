package hangs

import "testing"

func TestHangs(t *testing.T) {
	t.Log("waiting for a friend")
	select {}
}
