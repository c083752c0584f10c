package backends

import "testing"

func TestTypes(t *testing.T) {
	for _, typ := range []string{"lock/good", "lock/x/2 only in a cloud", "state/bad", "state/emulated", "state/gone", "state/limited", "state/unknown"} {
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

// TestEmulated and TestLimited: not against the real server, or not only.
func TestEmulated(t *testing.T) { t.Attr("ottavo-backend", "state/emulated moto") }

func TestGone(t *testing.T) {
	t.Attr("ottavo-backend", "state/gone")
	t.Skip("no server")
}

func TestLimited(t *testing.T) {
	t.Attr("ottavo-backend", "state/limited")
	t.Attr("ottavo-backend", "lock/good an emulator, too")
	t.Run("can", func(*testing.T) {})
	t.Run("cannot", func(t *testing.T) { t.Skip("known limit") })
}
