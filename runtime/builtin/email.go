package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
)

// emailSenders are the mail services.
func emailSenders() []components.Row[email.Sender] {
	return nil
}
