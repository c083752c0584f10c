package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/phone"
)

// phoneCallers are the telephone services.
func phoneCallers() []components.Row[phone.Caller] {
	return nil
}
