// Package tencent sends short messages with Tencent Cloud, type "tencentcloud.sms"
// (API of 2021-01-11). The parameters of a template are numbered: their keys are
// "0", "1", …; the application of the service is the request's metadata SdkAppId.
package tencent

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi"
	"github.com/ottavo-runtime/ottavo/components/sms"
)

// Type is the name by which a configuration asks for it.
const Type = "tencentcloud.sms"

// Keys of metadata: of a request, and of a result.
const (
	AppIDKey       = "SdkAppId"
	PhoneNumberKey = "PhoneNumber"
)

// Metadata are the settings.
type Metadata struct {
	AccessKeyID     string `json:"accessKeyID" doc:"Id of the access key."`
	AccessKeySecret string `json:"accessKeySecret" doc:"Secret of the access key."`
	Region          string `json:"region" doc:"Region: ap-guangzhou."`
	Endpoint        string `json:"endpoint" doc:"Host or URL of the service. Default sms.tencentcloudapi.com."`
}

type sender struct {
	api *cloudapi.Tencent
}

// New makes the sender. It calls nobody: the first message shows whether the key is good.
func New(_ context.Context, _ components.Env, cfg components.Config) (sms.Sender, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if err := cloudapi.Required(cfg, map[string]string{"accessKeyID": m.AccessKeyID, "accessKeySecret": m.AccessKeySecret, "region": m.Region}); err != nil {
		return nil, err
	}
	return &sender{api: &cloudapi.Tencent{
		Client: cloudapi.NewClient(), Endpoint: cloudapi.Endpoint(m.Endpoint, "sms.tencentcloudapi.com"), Service: "sms", Version: "2021-01-11",
		Region: m.Region, KeyID: m.AccessKeyID, KeySecret: m.AccessKeySecret, Question: "SendStatusStatistics",
	}}, nil
}

// Send implements sms.Sender.
func (s *sender) Send(ctx context.Context, m *sms.Message) (string, []sms.Result, error) {
	params := make([]string, len(m.Params))
	for i := range params {
		value, ok := m.Params[strconv.Itoa(i)]
		if !ok {
			return "", nil, fmt.Errorf("template_params: %d are given, but none is called %q: number them from 0", len(m.Params), strconv.Itoa(i))
		}
		params[i] = value
	}
	appID := m.Metadata[AppIDKey]
	if appID == "" {
		return "", nil, errors.New("metadata " + AppIDKey + " is missing: the id of the service's application")
	}
	var answer struct {
		SendStatusSet []struct {
			SerialNo, PhoneNumber, Code, Message string
		}
	}
	id, err := s.api.Call(ctx, "SendSms", map[string]any{
		"PhoneNumberSet": m.PhoneNumbers, "SmsSdkAppId": appID, "TemplateId": m.TemplateID, "TemplateParamSet": params,
		"SignName": m.SignName, "SenderId": m.SenderID,
	}, &answer)
	if err != nil {
		return "", nil, err
	}
	results := make([]sms.Result, len(answer.SendStatusSet))
	for i, r := range answer.SendStatusSet {
		results[i] = sms.Result{Code: r.Code, Message: r.Message, Metadata: map[string]string{PhoneNumberKey: r.PhoneNumber}}
	}
	return id, results, nil
}

// Close implements sms.Sender.
func (s *sender) Close() error {
	s.api.Client.Close()
	return nil
}

// Check implements components.Checker: somebody answers at the endpoint. Whether
// the key is good, the first call shows.
func (s *sender) Check(ctx context.Context) error { return s.api.Check(ctx) }
