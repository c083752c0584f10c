package layotto_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/email"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/phone"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/sms"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// reverse is a cipher that turns texts around.
type reverse struct{}

func (reverse) Close() error { return nil }

func (reverse) Encrypt(_ context.Context, plain []byte, keyID string) (*cryption.Result, error) {
	if keyID == "none" {
		return nil, cryption.ErrNoKey
	}
	out := bytes.Clone(plain)
	for i, b := range plain {
		out[len(plain)-1-i] = b
	}
	return &cryption.Result{Data: out, KeyID: keyID, KeyVersionID: "v", RequestID: "r"}, nil
}

func (r reverse) Decrypt(ctx context.Context, text []byte) (*cryption.Result, error) {
	if len(text) == 0 {
		return nil, cryption.ErrInvalid
	}
	return r.Encrypt(ctx, text, "k")
}

func TestCryption(t *testing.T) {
	_, cc := serve(t, layotto.Config{Cryption: capability.NewCryption(map[string]cryption.Cipher{"c": reverse{}})})
	client, ctx := cryptionv1.NewCryptionServiceClient(cc), timeout(t)
	sealed, err := client.Encrypt(ctx, &cryptionv1.EncryptRequest{ComponentName: "c", PlainText: []byte("abc\x00"), KeyId: "k"})
	if err != nil || !proto.Equal(sealed, &cryptionv1.EncryptResponse{CipherText: []byte("\x00cba"), KeyId: "k", KeyVersionId: "v", RequestId: "r"}) {
		t.Errorf("Encrypt = %v, %v", sealed, err)
	}
	plain, err := client.Decrypt(ctx, &cryptionv1.DecryptRequest{ComponentName: "c", CipherText: sealed.GetCipherText()})
	if err != nil || string(plain.GetPlainText()) != "abc\x00" {
		t.Errorf("Decrypt = %v, %v", plain, err)
	}
	_, err = client.Encrypt(ctx, &cryptionv1.EncryptRequest{ComponentName: "x"})
	wantStatus(t, err, codes.InvalidArgument, "component not found. kind: cryption , name: x", "UNKNOWN_COMPONENT")
	_, err = client.Encrypt(ctx, &cryptionv1.EncryptRequest{ComponentName: "c", KeyId: "none"})
	wantStatus(t, err, codes.NotFound, "there is no such key", "NOT_FOUND")
	_, err = client.Decrypt(ctx, &cryptionv1.DecryptRequest{ComponentName: "c"})
	wantStatus(t, err, codes.InvalidArgument, "not a cipher text of this service, or it was changed", "INVALID_ARGUMENT")
}

// post takes messages of all sorts.
type post struct {
	mail     *email.Mail
	template *email.TemplateMail
	message  *sms.Message
	call     *phone.Call
}

func (*post) Close() error { return nil }

func (p *post) Send(_ context.Context, m *email.Mail) (string, error) {
	p.mail = m
	return "id-1", nil
}

func (p *post) SendTemplate(_ context.Context, m *email.TemplateMail) (string, error) {
	p.template = m
	return "", errors.New("no such template")
}

func (p *post) Call(_ context.Context, c *phone.Call) (string, error) {
	p.call = c
	return "id-2", nil
}

type texter struct{ *post }

func (p texter) Send(_ context.Context, m *sms.Message) (string, []sms.Result, error) {
	p.message = m
	results := make([]sms.Result, len(m.PhoneNumbers))
	for i, n := range m.PhoneNumbers {
		// A message that was sent must not be an error because of odd bytes in what the vendor says.
		results[i] = sms.Result{Code: "Ok\xff", Message: "sent", Metadata: map[string]string{"PhoneNumber": n, "odd": "\xff"}}
	}
	return "id-3", results, nil
}

func TestMessages(t *testing.T) {
	p := new(post)
	_, cc := serve(t, layotto.Config{
		Email: capability.NewEmail(map[string]email.Sender{"m": p}),
		Phone: capability.NewPhone(map[string]phone.Caller{"p": p}),
		SMS:   capability.NewSMS(map[string]sms.Sender{"s": texter{p}}),
	})
	mail, call, text, ctx := emailv1.NewEmailServiceClient(cc), phonev1.NewPhoneCallServiceClient(cc), smsv1.NewSmsServiceClient(cc), timeout(t)
	to := &emailv1.EmailAddress{From: "a@x", To: []string{"b@x", "c@x"}, Cc: []string{"d@x"}}
	sent, err := mail.SendEmail(ctx, &emailv1.SendEmailRequest{ComponentName: "m", SettingId: "s", Subject: "hi", Content: &emailv1.Content{Text: "text"}, Address: to})
	if err != nil || sent.GetRequestId() != "id-1" || p.mail.Text != "text" || p.mail.SettingID != "s" || len(p.mail.Address.To) != 2 || p.mail.Address.Cc[0] != "d@x" {
		t.Errorf("SendEmail = %v, %v: %+v", sent, err, p.mail)
	}
	_, err = mail.SendEmail(ctx, &emailv1.SendEmailRequest{ComponentName: "m"})
	wantStatus(t, err, codes.InvalidArgument, "address.to is empty: a mail needs a receiver", "INVALID_ARGUMENT")
	template := &emailv1.EmailTemplate{TemplateId: "t", TemplateParams: map[string]string{"name": "eva"}}
	_, err = mail.SendEmailWithTemplate(ctx, &emailv1.SendEmailWithTemplateRequest{ComponentName: "m", Template: template, Address: to})
	wantStatus(t, err, codes.Internal, "no such template", "INTERNAL")
	if p.template.TemplateID != "t" || p.template.Params["name"] != "eva" {
		t.Errorf("template %+v", p.template)
	}
	_, err = mail.SendEmailWithTemplate(ctx, &emailv1.SendEmailWithTemplateRequest{ComponentName: "m", Address: to})
	wantStatus(t, err, codes.InvalidArgument, "template_id is empty: say which template", "INVALID_ARGUMENT")

	called, err := call.SendVoiceWithTemplate(ctx, &phonev1.SendVoiceWithTemplateRequest{
		ComponentName: "p", Template: &phonev1.VoiceTemplate{TemplateId: "v"}, ToMobile: []string{"1"}, FromMobile: "2",
	})
	if err != nil || called.GetRequestId() != "id-2" || p.call.From != "2" {
		t.Errorf("SendVoiceWithTemplate = %v, %v", called, err)
	}
	_, err = call.SendVoiceWithTemplate(ctx, &phonev1.SendVoiceWithTemplateRequest{ComponentName: "x"})
	wantStatus(t, err, codes.InvalidArgument, "component not found. kind: phone , name: x", "UNKNOWN_COMPONENT")

	texts, err := text.SendSmsWithTemplate(ctx, &smsv1.SendSmsWithTemplateRequest{
		ComponentName: "s", PhoneNumbers: []string{"1", "2"}, Template: &smsv1.Template{TemplateId: "t"}, SignName: "n", SenderId: "i",
		Metadata: map[string]string{"SdkAppId": "9"},
	})
	if err != nil || texts.GetRequestId() != "id-3" || len(texts.GetResults()) != 2 || texts.GetResults()[1].GetMetadata()["PhoneNumber"] != "2" ||
		p.message.SignName != "n" || p.message.SenderID != "i" || p.message.Metadata["SdkAppId"] != "9" {
		t.Errorf("SendSmsWithTemplate = %v, %v: %+v", texts, err, p.message)
	}
	_, err = text.SendSmsWithTemplate(ctx, &smsv1.SendSmsWithTemplateRequest{ComponentName: "s"})
	wantStatus(t, err, codes.InvalidArgument, "template_id and phone_numbers must not be empty: say what to send, and to whom", "INVALID_ARGUMENT")
}

type changing func(map[string]string) error

func (c changing) Reconfigure(_ context.Context, metadata map[string]string) error {
	return c(metadata)
}

func TestApplyConfiguration(t *testing.T) {
	var got map[string]string
	_, cc := serve(t, layotto.Config{Lifecycle: capability.NewLifecycle(map[capability.ComponentID]components.Reconfigurer{
		{Kind: "hellos", Name: "h"}: changing(func(m map[string]string) error {
			if m["hello"] == "" {
				return errors.New("no greeting")
			}
			got = m
			return nil
		}),
	})})
	client, ctx := runtimev1.NewLifecycleClient(cc), timeout(t)
	apply := func(kind, name string, metadata map[string]string) error {
		_, err := client.ApplyConfiguration(ctx, &runtimev1.DynamicConfiguration{ComponentConfig: &runtimev1.ComponentConfig{Kind: kind, Name: name, Metadata: metadata}})
		return err
	}
	if err := apply("hellos", "h", map[string]string{"hello": "bye"}); err != nil || got["hello"] != "bye" {
		t.Errorf("ApplyConfiguration: %v, got %v", err, got)
	}
	some := map[string]string{"a": "b"}
	for _, c := range []struct {
		kind, name string
		metadata   map[string]string
		code       codes.Code
		text       string
		reason     string
	}{
		{"", "h", some, codes.InvalidArgument, "field kind is not configured", "INVALID_ARGUMENT"},
		{"hellos", "", some, codes.InvalidArgument, "field name is not configured", "INVALID_ARGUMENT"},
		{"hellos", "h", nil, codes.InvalidArgument, "field metadata is not configured", "INVALID_ARGUMENT"},
		{"lock", "h", some, codes.InvalidArgument, "component not found. kind: lock , name: h", "INVALID_ARGUMENT"},
		{"hellos", "h", some, codes.Unknown, "no greeting", "UNKNOWN"},
	} {
		wantStatus(t, apply(c.kind, c.name, c.metadata), c.code, c.text, c.reason)
	}
}
