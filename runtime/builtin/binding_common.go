//go:build !full

package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
)

func bindingsOfFull() []components.Row[binding.Binding] { return nil }
