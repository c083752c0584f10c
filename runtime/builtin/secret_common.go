//go:build !full

package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/secret"
)

func secretsOfFull() []components.Row[secret.Store] { return nil }
