//go:build !full

package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

func statesOfFull() []components.Row[state.Store] { return nil }
