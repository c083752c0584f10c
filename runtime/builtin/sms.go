package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sms"
)

// smsSenders are the short message services.
func smsSenders() []components.Row[sms.Sender] {
	return nil
}
