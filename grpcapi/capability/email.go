package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/email"
)

// Email sends mail through the services it was made from.
type Email struct {
	senders map[string]email.Sender
}

// NewEmail takes them by their names. The map is copied.
func NewEmail(senders map[string]email.Sender) *Email {
	return &Email{senders: maps.Clone(senders)}
}
