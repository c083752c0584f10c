package tencent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi/cloudapitest"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/components/sms/smstest"
	"github.com/ottavo-runtime/ottavo/components/sms/tencent"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func open(t *testing.T, url, secret string) sms.Sender {
	t.Helper()
	s, err := tencent.New(t.Context(), components.Env{}, components.Config{Path: "runtime.sms.s", Metadata: map[string]any{
		"accessKeyID": cloudapitest.KeyID, "accessKeySecret": secret, "region": "ap-guangzhou", "endpoint": url,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSend(t *testing.T) {
	var params map[string]any
	server := cloudapitest.Tencent(t, "sms", "2021-01-11", func(action string, p map[string]any) (map[string]any, error) {
		params = p
		switch {
		case action != "SendSms":
			return nil, cloudapitest.Failure{Code: "InvalidAction", Message: action}
		case p["TemplateId"] == "bad":
			return nil, cloudapitest.Failure{Code: "FailedOperation.TemplateIncorrectOrUnapproved", Message: "template is not approved"}
		}
		return map[string]any{"SendStatusSet": []map[string]string{
			{"SerialNo": "1", "PhoneNumber": "+8610", "Code": "Ok", "Message": "send success"},
			{"SerialNo": "2", "PhoneNumber": "+8611", "Code": "LimitExceeded.PhoneNumberDailyLimit", "Message": "too many"},
		}}, nil
	})
	s := open(t, server.URL, cloudapitest.KeySecret)
	m := &sms.Message{
		PhoneNumbers: []string{"+8610", "+8611"}, TemplateID: "t", Params: map[string]string{"0": "eva", "1": "17"}, SignName: "n", SenderID: "i",
		Metadata: map[string]string{"SdkAppId": "app"},
	}
	id, results, err := s.Send(t.Context(), m)
	if err != nil || id != "r-1" || len(results) != 2 || results[0].Code != "Ok" || results[1].Metadata["PhoneNumber"] != "+8611" || results[1].Message != "too many" {
		t.Errorf("Send = %q, %+v, %v", id, results, err)
	}
	if got := fmt.Sprintln(params["TemplateParamSet"], params["SmsSdkAppId"], params["SignName"], params["SenderId"], params["PhoneNumberSet"]); got != "[eva 17] app n i [+8610 +8611]\n" {
		t.Errorf("sent %s", got)
	}
	bad := *m
	bad.TemplateID = "bad"
	if _, _, err := s.Send(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), "TemplateIncorrectOrUnapproved: template is not approved (request r-0)") {
		t.Errorf("a refused message: %v", err)
	}
	if _, _, err := open(t, server.URL, "wrong").Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "AuthFailure") {
		t.Errorf("a wrong secret: %v", err)
	}
	params = nil
	bad = *m
	bad.Params = map[string]string{"name": "eva"}
	if _, _, err := s.Send(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), `"0"`) || params != nil {
		t.Errorf("parameters with names: %v", err)
	}
	bad = *m
	bad.Metadata = nil
	if _, _, err := s.Send(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), "SdkAppId") || params != nil {
		t.Errorf("no application: %v", err)
	}
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "sms", tencent.Type)
	server := cloudapitest.Tencent(t, "sms", "2021-01-11", func(_ string, p map[string]any) (map[string]any, error) {
		var results []map[string]any
		for _, number := range p["PhoneNumberSet"].([]any) {
			results = append(results, map[string]any{"PhoneNumber": number, "Code": "Ok"})
		}
		return map[string]any{"SendStatusSet": results}, nil
	})
	smstest.Run(t, func(t *testing.T) sms.Sender { return open(t, server.URL, cloudapitest.KeySecret) })
}
