package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/memory"
)

// locks are the lock services.
func locks() []components.Row[lock.Locker] {
	return []components.Row[lock.Locker]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
	}
}
