package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
)

// locks are the lock services.
func locks() []components.Row[lock.Locker] {
	return nil
}
