package layotto

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/email"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/phone"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/sms"
)

// emailServer answers spec.proto.extension.v1.email.EmailService.
type emailServer struct {
	emailv1.UnimplementedEmailServiceServer
	email *capability.Email
}

// SendEmail sends a mail.
func (s *emailServer) SendEmail(ctx context.Context, req *emailv1.SendEmailRequest) (*emailv1.SendEmailResponse, error) {
	id, err := s.email.Send(ctx, req.GetComponentName(), &email.Mail{
		SettingID: req.GetSettingId(), Subject: req.GetSubject(), Text: req.GetContent().GetText(), Address: address(req.GetAddress()),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &emailv1.SendEmailResponse{RequestId: valid(id)}, nil
}

// SendEmailWithTemplate sends a mail whose text the service makes.
func (s *emailServer) SendEmailWithTemplate(ctx context.Context, req *emailv1.SendEmailWithTemplateRequest) (*emailv1.SendEmailWithTemplateResponse, error) {
	id, err := s.email.SendTemplate(ctx, req.GetComponentName(), &email.TemplateMail{
		TemplateID: req.GetTemplate().GetTemplateId(), Params: req.GetTemplate().GetTemplateParams(),
		Subject: req.GetSubject(), Address: address(req.GetAddress()),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &emailv1.SendEmailWithTemplateResponse{RequestId: valid(id)}, nil
}

func address(a *emailv1.EmailAddress) email.Address {
	return email.Address{From: a.GetFrom(), To: a.GetTo(), Cc: a.GetCc()}
}

// phoneServer answers spec.proto.extension.v1.phone.PhoneCallService.
type phoneServer struct {
	phonev1.UnimplementedPhoneCallServiceServer
	phone *capability.Phone
}

// SendVoiceWithTemplate has a text read out on telephones.
func (s *phoneServer) SendVoiceWithTemplate(ctx context.Context, req *phonev1.SendVoiceWithTemplateRequest) (*phonev1.SendVoiceWithTemplateResponse, error) {
	id, err := s.phone.Call(ctx, req.GetComponentName(), &phone.Call{
		TemplateID: req.GetTemplate().GetTemplateId(), Params: req.GetTemplate().GetTemplateParams(),
		To: req.GetToMobile(), From: req.GetFromMobile(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &phonev1.SendVoiceWithTemplateResponse{RequestId: valid(id)}, nil
}

// smsServer answers spec.proto.extension.v1.sms.SmsService.
type smsServer struct {
	smsv1.UnimplementedSmsServiceServer
	sms *capability.SMS
}

// SendSmsWithTemplate sends a short message to some numbers.
func (s *smsServer) SendSmsWithTemplate(ctx context.Context, req *smsv1.SendSmsWithTemplateRequest) (*smsv1.SendSmsWithTemplateResponse, error) {
	id, results, err := s.sms.Send(ctx, req.GetComponentName(), &sms.Message{
		PhoneNumbers: req.GetPhoneNumbers(), TemplateID: req.GetTemplate().GetTemplateId(), Params: req.GetTemplate().GetTemplateParams(),
		SignName: req.GetSignName(), SenderID: req.GetSenderId(), Metadata: req.GetMetadata(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &smsv1.SendSmsWithTemplateResponse{RequestId: valid(id), Results: make([]*smsv1.SendStatus, len(results))}
	for i, r := range results {
		resp.Results[i] = &smsv1.SendStatus{Code: valid(r.Code), Message: valid(r.Message), Metadata: validMap(r.Metadata)}
	}
	return resp, nil
}
