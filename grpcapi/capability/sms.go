package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/sms"
)

// SMS sends short messages through the services it was made from.
type SMS struct {
	senders map[string]sms.Sender
}

// NewSMS takes them by their names. The map is copied.
func NewSMS(senders map[string]sms.Sender) *SMS {
	return &SMS{senders: maps.Clone(senders)}
}
