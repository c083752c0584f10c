package capability

import (
	"context"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/phone"
)

// PhoneCall is the operation in an Error.
const PhoneCall Op = "call"

// Phone calls telephones through the services it was made from.
type Phone struct {
	callers map[string]phone.Caller
}

// NewPhone takes the services by their names. The map is copied.
func NewPhone(callers map[string]phone.Caller) *Phone {
	return &Phone{callers: maps.Clone(callers)}
}

// Call has a text read out and returns the service's id of the request.
func (p *Phone) Call(ctx context.Context, name string, c *phone.Call) (requestID string, err error) {
	var callers map[string]phone.Caller
	if p != nil {
		callers = p.callers
	}
	caller, err := find(callers, PhoneName, PhoneCall, name)
	if err != nil {
		return "", err
	}
	if c.TemplateID == "" || len(c.To) == 0 {
		return "", missing(PhoneName, PhoneCall, name, "template_id and to_mobile must not be empty: say what to read out, and to whom")
	}
	id, err := caller.Call(ctx, c)
	return id, messageError(ctx, PhoneName, PhoneCall, name, err)
}
