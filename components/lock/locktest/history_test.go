package locktest

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/ottavo-runtime/ottavo/components/lock"
)

// What a lock must not do is found, what it may do is not.
func TestModel(t *testing.T) {
	op := func(m method, owner string, call, end, expire int64, out output) porcupine.Operation {
		o := porcupine.Operation{Input: input{m, "r", owner, expire, call, end}, Call: call, Return: end, Output: out}
		if out.unknown {
			o.Return = 1 << 62
		}
		return o
	}
	got, refused, unknown := output{got: true}, output{}, output{unknown: true}
	done, free, others := output{status: lock.Done}, output{status: lock.NotLocked}, output{status: lock.NotTheOwner}
	for _, tt := range []struct {
		name string
		ops  []porcupine.Operation
		ok   bool
	}{
		{"two owners", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(tryLock, "b", 20, 30, 100, got)}, false},
		{"one after the other", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "a", 11, 12, 0, done), op(tryLock, "b", 20, 30, 100, got)}, true},
		{"after expiry", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(tryLock, "b", 90, 101, 100, got)}, true},
		{"before expiry", []porcupine.Operation{op(tryLock, "a", 5, 10, 100, got), op(tryLock, "b", 90, 104, 100, got)}, false},
		{"refused by nobody", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, refused)}, false},
		{"still held is allowed", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(tryLock, "b", 190, 200, 100, refused)}, true},
		{"unlocked twice", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "a", 11, 12, 0, done), op(unlock, "a", 13, 14, 0, done)}, false},
		{"another unlocks", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "b", 11, 12, 0, done)}, false},
		{"another may not", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "b", 11, 12, 0, others)}, true},
		{"lost early", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "a", 11, 12, 0, free)}, false},
		{"lost by time", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(unlock, "a", 150, 160, 0, free)}, true},
		{"renewed", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(renew, "a", 50, 60, 100, done), op(tryLock, "b", 120, 130, 100, got)}, false},
		{"renewed, then over", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(renew, "a", 50, 60, 100, done), op(tryLock, "b", 120, 151, 100, got)}, true},
		{"renewed what expired", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, got), op(tryLock, "b", 100, 110, 100, got), op(renew, "a", 120, 130, 100, done)}, false},
		{"unknown grant", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, unknown), op(tryLock, "b", 20, 30, 100, refused)}, true},
		{"unknown, never happened", []porcupine.Operation{op(tryLock, "a", 0, 10, 100, unknown), op(tryLock, "b", 20, 30, 100, got)}, true},
		{"unknown unlock", []porcupine.Operation{op(tryLock, "a", 0, 10, 1000, got), op(unlock, "a", 20, 30, 0, unknown), op(tryLock, "b", 40, 50, 100, got)}, true},
		{"a failed call of another's", []porcupine.Operation{op(tryLock, "a", 0, 10, 1000, got), op(unlock, "b", 20, 30, 0, unknown), op(tryLock, "b", 40, 50, 100, got)}, false},
	} {
		if ok := porcupine.CheckOperations(lockModel(), tt.ops); ok != tt.ok {
			t.Errorf("%s: allowed %v, want %v", tt.name, ok, tt.ok)
		}
	}
}
