package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/phone"
)

// Phone calls telephones through the services it was made from.
type Phone struct {
	callers map[string]phone.Caller
}

// NewPhone takes them by their names. The map is copied.
func NewPhone(callers map[string]phone.Caller) *Phone {
	return &Phone{callers: maps.Clone(callers)}
}
