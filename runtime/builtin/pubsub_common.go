//go:build !full

package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

func brokersOfFull() []components.Row[pubsub.Broker] { return nil }
