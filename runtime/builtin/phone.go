package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/phone/local"
)

// phoneCallers are the telephone services.
func phoneCallers() []components.Row[phone.Caller] {
	return []components.Row[phone.Caller]{
		{Type: local.Type, Doc: "calls are kept in a file, for development", Metadata: &local.Metadata{}, New: local.New},
	}
}
