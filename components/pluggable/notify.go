package pluggable

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/sms"
	customv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/custom"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/email"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/phone"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sms"
)

// mailer is a mail service in a process of its own.
type mailer struct {
	*link
	client emailv1.EmailClient
}

func newEmail(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (email.Sender, error) {
	if err := l.startOwn(ctx, emailv1.Email_ServiceDesc, "email", env, cfg, nil); err != nil {
		return nil, err
	}
	return &mailer{l, emailv1.NewEmailClient(l)}, nil
}

func address(a email.Address) *emailv1.Address {
	return &emailv1.Address{From: a.From, To: a.To, Cc: a.Cc}
}

// Send implements email.Sender.
func (m *mailer) Send(ctx context.Context, mail *email.Mail) (string, error) {
	resp, err := m.client.Send(ctx, &emailv1.SendRequest{
		SettingId: mail.SettingID, Subject: mail.Subject, Text: mail.Text, Address: address(mail.Address),
	})
	return resp.GetRequestId(), m.explain(ctx, err, kindErrors{})
}

// SendTemplate implements email.Sender.
func (m *mailer) SendTemplate(ctx context.Context, mail *email.TemplateMail) (string, error) {
	resp, err := m.client.SendTemplate(ctx, &emailv1.SendTemplateRequest{
		TemplateId: mail.TemplateID, Params: mail.Params, Subject: mail.Subject, Address: address(mail.Address),
	})
	return resp.GetRequestId(), m.explain(ctx, err, kindErrors{})
}

// Close implements email.Sender.
func (m *mailer) Close() error {
	m.close()
	return nil
}

// texter is a service for short messages in a process of its own.
type texter struct {
	*link
	client smsv1.SmsClient
}

func newSMS(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (sms.Sender, error) {
	if err := l.startOwn(ctx, smsv1.Sms_ServiceDesc, "sms", env, cfg, nil); err != nil {
		return nil, err
	}
	return &texter{l, smsv1.NewSmsClient(l)}, nil
}

// Send implements sms.Sender.
func (t *texter) Send(ctx context.Context, m *sms.Message) (string, []sms.Result, error) {
	resp, err := t.client.Send(ctx, &smsv1.SendRequest{
		PhoneNumbers: m.PhoneNumbers, TemplateId: m.TemplateID, Params: m.Params, SignName: m.SignName, SenderId: m.SenderID, Metadata: m.Metadata,
	})
	if err != nil {
		return "", nil, t.explain(ctx, err, kindErrors{})
	}
	var results []sms.Result
	for _, r := range resp.GetResults() {
		results = append(results, sms.Result{Code: r.GetCode(), Message: r.GetMessage(), Metadata: r.GetMetadata()})
	}
	return resp.GetRequestId(), results, nil
}

// Close implements sms.Sender.
func (t *texter) Close() error {
	t.close()
	return nil
}

// telephone is a telephone service in a process of its own.
type telephone struct {
	*link
	client phonev1.PhoneClient
}

func newPhone(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (phone.Caller, error) {
	if err := l.startOwn(ctx, phonev1.Phone_ServiceDesc, "phone", env, cfg, nil); err != nil {
		return nil, err
	}
	return &telephone{l, phonev1.NewPhoneClient(l)}, nil
}

// Call implements phone.Caller.
func (t *telephone) Call(ctx context.Context, c *phone.Call) (string, error) {
	resp, err := t.client.Call(ctx, &phonev1.CallRequest{TemplateId: c.TemplateID, Params: c.Params, To: c.To, From: c.From})
	return resp.GetRequestId(), t.explain(ctx, err, kindErrors{})
}

// Close implements phone.Caller.
func (t *telephone) Close() error {
	t.close()
	return nil
}

// Custom is a component of a user's own kind in a process of its own. It is a
// grpc.ClientConnInterface: whoever has it makes clients of the process's own services
// over it. A call takes half a minute at most, a stream is not bounded; the process is
// initialised again when it was restarted.
type Custom struct{ *link }

func newCustom(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (custom.Component, error) {
	if err := l.startOwn(ctx, customv1.Custom_ServiceDesc, cfg.Kind, env, cfg, nil); err != nil {
		return nil, err
	}
	return Custom{l}, nil
}

// Close ends the connection. It is safe twice.
func (c Custom) Close() error {
	c.close()
	return nil
}
