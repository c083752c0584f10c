package panics

import "testing"

func TestBefore(t *testing.T) {}

func TestPanic(t *testing.T) {
	t.Run("inner", func(t *testing.T) { panic("out of cheese") })
}

func TestNever(t *testing.T) {}
