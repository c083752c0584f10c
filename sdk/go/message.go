package ottavo

import (
	"context"

	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/email"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/phone"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/sms"
)

// Template is a text that a message service has, and what is put into it.
type Template struct {
	ID     string
	Params map[string]string
}

// Mail is a mail to send.
type Mail struct {
	From    string
	To, CC  []string
	Subject string
	// Text is the content, for Send.
	Text string
	// Template is the content, for SendTemplate.
	Template Template
	// SettingID names a setting of the service, for Send; may be "".
	SettingID string
}

// SendMail sends a mail with a text through the mail service of that name, and
// returns the service's id of the request. That it was accepted does not say that it arrived.
func (c *Client) SendMail(ctx context.Context, service string, m *Mail) (requestID string, err error) {
	resp, err := emailv1.NewEmailServiceClient(c.conn).SendEmail(ctx, &emailv1.SendEmailRequest{
		ComponentName: service, SettingId: m.SettingID, Subject: m.Subject, Content: &emailv1.Content{Text: m.Text}, Address: m.address(),
	})
	if err != nil {
		return "", failed("SendEmail", err)
	}
	return resp.GetRequestId(), nil
}

// SendTemplateMail is SendMail with the mail's template in place of its text.
func (c *Client) SendTemplateMail(ctx context.Context, service string, m *Mail) (requestID string, err error) {
	resp, err := emailv1.NewEmailServiceClient(c.conn).SendEmailWithTemplate(ctx, &emailv1.SendEmailWithTemplateRequest{
		ComponentName: service, Subject: m.Subject, Address: m.address(),
		Template: &emailv1.EmailTemplate{TemplateId: m.Template.ID, TemplateParams: m.Template.Params},
	})
	if err != nil {
		return "", failed("SendEmailWithTemplate", err)
	}
	return resp.GetRequestId(), nil
}

func (m *Mail) address() *emailv1.EmailAddress {
	return &emailv1.EmailAddress{From: m.From, To: m.To, Cc: m.CC}
}

// SMS is a short message to send.
type SMS struct {
	// To are the telephone numbers, as the service wants them.
	To       []string
	Template Template
	// SignName and SenderID are who it is from, where the service wants that.
	SignName, SenderID string
	// Metadata goes to the service, which knows the keys.
	Metadata map[string]string
}

// SMSResult is what a service says of a message to one number.
type SMSResult struct {
	Code, Message string
	Metadata      map[string]string
}

// SendSMS sends a short message through the service of that name. The results are in the
// order of the numbers, where the service tells them.
func (c *Client) SendSMS(ctx context.Context, service string, m *SMS) (requestID string, results []SMSResult, err error) {
	resp, err := smsv1.NewSmsServiceClient(c.conn).SendSmsWithTemplate(ctx, &smsv1.SendSmsWithTemplateRequest{
		ComponentName: service, PhoneNumbers: m.To, SignName: m.SignName, SenderId: m.SenderID, Metadata: m.Metadata,
		Template: &smsv1.Template{TemplateId: m.Template.ID, TemplateParams: m.Template.Params},
	})
	if err != nil {
		return "", nil, failed("SendSmsWithTemplate", err)
	}
	for _, r := range resp.GetResults() {
		results = append(results, SMSResult{r.GetCode(), r.GetMessage(), r.GetMetadata()})
	}
	return resp.GetRequestId(), results, nil
}

// VoiceCall is a telephone call that reads a text.
type VoiceCall struct {
	// To are the telephone numbers, as the service wants them.
	To       []string
	From     string
	Template Template
}

// CallPhone calls telephones through the service of that name, and returns the
// service's id of the request.
func (c *Client) CallPhone(ctx context.Context, service string, v *VoiceCall) (requestID string, err error) {
	resp, err := phonev1.NewPhoneCallServiceClient(c.conn).SendVoiceWithTemplate(ctx, &phonev1.SendVoiceWithTemplateRequest{
		ComponentName: service, ToMobile: v.To, FromMobile: v.From,
		Template: &phonev1.VoiceTemplate{TemplateId: v.Template.ID, TemplateParams: v.Template.Params},
	})
	if err != nil {
		return "", failed("SendVoiceWithTemplate", err)
	}
	return resp.GetRequestId(), nil
}
