// Package aliyun sends mail with Alibaba Cloud's DirectMail, type "aliyun.email"
// (API of 2015-11-23). The service knows no copies: who stands in cc gets the mail
// like those in to. A mail with a template goes to a list of receivers, whose name
// is the one entry in to; what a template is filled with stands in that list, so
// parameters in the request are refused.
package aliyun

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/internal/cloudapi"
)

// Type is the name by which a configuration asks for it.
const Type = "aliyun.email"

// Metadata are the settings.
type Metadata struct {
	AccessKeyID     string `json:"accessKeyID" doc:"Id of the access key."`
	AccessKeySecret string `json:"accessKeySecret" doc:"Secret of the access key."`
	Endpoint        string `json:"endpoint" doc:"Host or URL of the service. Default dm.aliyuncs.com."`
}

type sender struct {
	api *cloudapi.Aliyun
}

// New makes the sender. It calls nobody: the first mail shows whether the key is good.
func New(_ context.Context, _ components.Env, cfg components.Config) (email.Sender, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if err := cloudapi.Required(cfg, map[string]string{"accessKeyID": m.AccessKeyID, "accessKeySecret": m.AccessKeySecret}); err != nil {
		return nil, err
	}
	return &sender{api: &cloudapi.Aliyun{
		Client: cloudapi.NewClient(), Endpoint: cloudapi.Endpoint(m.Endpoint, "dm.aliyuncs.com"), Version: "2015-11-23",
		KeyID: m.AccessKeyID, KeySecret: m.AccessKeySecret, Question: "DescAccountSummary",
	}}, nil
}

// Send implements email.Sender.
func (s *sender) Send(ctx context.Context, m *email.Mail) (string, error) {
	if m.SettingID != "" {
		return "", errors.New("aliyun.email has no settings to choose from: leave setting_id out")
	}
	return s.call(ctx, "SingleSendMail", map[string]string{
		"AccountName": m.Address.From, "AddressType": "1", "ReplyToAddress": "false",
		"ToAddress": strings.Join(slices.Concat(m.Address.To, m.Address.Cc), ","), "Subject": m.Subject, "TextBody": m.Text,
	})
}

// SendTemplate implements email.Sender.
func (s *sender) SendTemplate(ctx context.Context, m *email.TemplateMail) (string, error) {
	switch {
	case len(m.Address.To) != 1 || len(m.Address.Cc) > 0:
		return "", errors.New("aliyun.email sends a template to one list of receivers: write its name into address.to, alone")
	case len(m.Params) > 0:
		return "", errors.New("aliyun.email fills a template from the list of receivers: leave template_params out")
	}
	return s.call(ctx, "BatchSendMail", map[string]string{
		"AccountName": m.Address.From, "AddressType": "1", "TemplateName": m.TemplateID, "ReceiversName": m.Address.To[0],
	})
}

func (s *sender) call(ctx context.Context, action string, params map[string]string) (string, error) {
	var answer struct {
		RequestId string //nolint:staticcheck // the vendor's key
	}
	err := s.api.Call(ctx, action, params, &answer)
	return answer.RequestId, err
}

// Close implements email.Sender.
func (s *sender) Close() error {
	s.api.Client.Close()
	return nil
}

// Check implements components.Checker: somebody answers at the endpoint. Whether
// the key is good, the first call shows.
func (s *sender) Check(ctx context.Context) error { return s.api.Check(ctx) }
