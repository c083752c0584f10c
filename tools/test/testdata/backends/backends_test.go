package backends

import "testing"

func TestTypes(t *testing.T) {
	for _, typ := range []string{"lock/good", "lock/x/2 only in a cloud", "state/bad", "state/gone", "state/limited", "state/unknown"} {
		t.Attr("ottavo-type", typ)
	}
}

func TestGood(t *testing.T) { t.Attr("ottavo-backend", "lock/good") }

// The backend is good, the test of something special about it is not run.
func TestGoodToo(t *testing.T) {
	t.Attr("ottavo-backend", "lock/good")
	t.Skip("not today")
}

func TestBad(t *testing.T) {
	t.Attr("ottavo-backend", "state/bad")
	t.Run("sub", func(t *testing.T) { t.Error("lost a write") })
}

func TestGone(t *testing.T) {
	t.Attr("ottavo-backend", "state/gone")
	t.Skip("no server")
}

func TestLimited(t *testing.T) {
	t.Attr("ottavo-backend", "state/limited")
	t.Run("can", func(*testing.T) {})
	t.Run("cannot", func(t *testing.T) { t.Skip("known limit") })
}
