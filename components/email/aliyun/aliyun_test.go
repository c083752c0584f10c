package aliyun_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/email/aliyun"
	"github.com/ottavo-runtime/ottavo/components/email/emailtest"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi/cloudapitest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestSend(t *testing.T) {
	var action string
	var params map[string]any
	server := cloudapitest.Aliyun(t, "2015-11-23", func(a string, p map[string]any) (map[string]any, error) {
		action, params = a, p
		if p["AccountName"] == "spam@x" {
			return nil, cloudapitest.Failure{Code: "InvalidMailAddress.NotFound", Message: "The specified mailAddress does not exist."}
		}
		return map[string]any{}, nil
	})
	s, err := aliyun.New(t.Context(), components.Env{}, components.Config{Path: "runtime.email.e", Metadata: map[string]any{
		"accessKeyID": cloudapitest.KeyID, "accessKeySecret": cloudapitest.KeySecret, "endpoint": server.URL,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	id, err := s.Send(t.Context(), &email.Mail{Subject: "hi & bye", Text: "a+b=c", Address: email.Address{From: "a@x", To: []string{"b@x", "c@x"}, Cc: []string{"d@x"}}})
	if err != nil || id != "r-1" || action != "SingleSendMail" || params["ToAddress"] != "b@x,c@x,d@x" || params["TextBody"] != "a+b=c" || params["Subject"] != "hi & bye" || params["AccountName"] != "a@x" {
		t.Errorf("Send = %q, %v: %s %v", id, err, action, params)
	}
	id, err = s.SendTemplate(t.Context(), &email.TemplateMail{TemplateID: "t", Address: email.Address{From: "a@x", To: []string{"readers"}}})
	if err != nil || id != "r-1" || action != "BatchSendMail" || params["TemplateName"] != "t" || params["ReceiversName"] != "readers" {
		t.Errorf("SendTemplate = %q, %v: %s %v", id, err, action, params)
	}
	_, err = s.Send(t.Context(), &email.Mail{Address: email.Address{From: "spam@x", To: []string{"b@x"}}})
	if err == nil || !strings.Contains(err.Error(), "InvalidMailAddress.NotFound: The specified mailAddress does not exist. (request r-0)") {
		t.Errorf("a refused mail: %v", err)
	}
	action = ""
	for _, m := range []*email.TemplateMail{
		{TemplateID: "t", Address: email.Address{To: []string{"a", "b"}}},
		{TemplateID: "t", Params: map[string]string{"a": "b"}, Address: email.Address{To: []string{"a"}}},
	} {
		if _, err := s.SendTemplate(t.Context(), m); err == nil || action != "" {
			t.Errorf("%+v: %v, called %q", m, err, action)
		}
	}
	if _, err := s.Send(t.Context(), &email.Mail{SettingID: "s"}); err == nil || action != "" {
		t.Errorf("a setting: %v", err)
	}
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "email", aliyun.Type)
	server := cloudapitest.Aliyun(t, "2015-11-23", func(string, map[string]any) (map[string]any, error) { return map[string]any{}, nil })
	emailtest.Run(t, func(t *testing.T) email.Sender {
		s, err := aliyun.New(t.Context(), components.Env{}, components.Config{Path: "runtime.email.e", Metadata: map[string]any{
			"accessKeyID": cloudapitest.KeyID, "accessKeySecret": cloudapitest.KeySecret, "endpoint": server.URL,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
