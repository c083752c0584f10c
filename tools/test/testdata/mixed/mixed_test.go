package mixed

import (
	"fmt"
	"testing"
)

func TestPass(t *testing.T) { t.Log("noise of a passing test") }

func TestTable(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Errorf("got %d, want %d", 1, 2) })
	t.Run("absent", func(t *testing.T) { t.Skip("no redis-server in PATH") })
}

func TestOwnFailure(t *testing.T) {
	t.Run("fine", func(t *testing.T) {})
	t.Error("the parent is wrong")
}

func TestSkip(t *testing.T) {
	t.Log("looking around")
	t.Skip("two lines:\nno server")
}

func TestSilentSkip(t *testing.T) { t.SkipNow() }

func Example() {
	fmt.Println("hello")
	// Output: hello
}

func FuzzNothing(f *testing.F) {
	f.Add("seed")
	f.Fuzz(func(t *testing.T, s string) {})
}
