package capability

import (
	"context"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/sms"
)

// SMSSend is the operation in an Error.
const SMSSend Op = "send"

// SMS sends short messages through the services it was made from.
type SMS struct {
	senders map[string]sms.Sender
}

// NewSMS takes the services by their names. The map is copied.
func NewSMS(senders map[string]sms.Sender) *SMS {
	return &SMS{senders: maps.Clone(senders)}
}

// Send sends a message, and returns the service's id of the request and what
// became of each number.
func (s *SMS) Send(ctx context.Context, name string, m *sms.Message) (requestID string, results []sms.Result, err error) {
	var senders map[string]sms.Sender
	if s != nil {
		senders = s.senders
	}
	sender, err := find(senders, SMSName, SMSSend, name)
	if err != nil {
		return "", nil, err
	}
	if m.TemplateID == "" || len(m.PhoneNumbers) == 0 {
		return "", nil, missing(SMSName, SMSSend, name, "template_id and phone_numbers must not be empty: say what to send, and to whom")
	}
	id, results, err := sender.Send(ctx, m)
	return id, results, messageError(ctx, SMSName, SMSSend, name, err)
}
