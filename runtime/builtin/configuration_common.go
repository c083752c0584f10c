//go:build !full

package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func configurationsOfFull() []components.Row[configuration.Store] { return nil }
