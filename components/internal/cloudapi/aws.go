package cloudapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// AWS calls services of Amazon in their JSON 1.1 protocol, signed with signature
// version 4 by Amazon's own code.
type AWS struct {
	Client *Client
	// Endpoint is the URL of the service, Service its name in signatures ("kms"),
	// Target what stands before the action ("TrentService"), Region where it is.
	Endpoint, Service, Target, Region string
	// KeyID and KeySecret sign.
	KeyID, KeySecret string
	// Question is an action that changes nothing and needs no parameters, for Check;
	// "": it only looks whether somebody answers.
	Question string
}

// Check tells whether somebody answers at the endpoint, and with a Question whether it
// knows our credentials.
func (a *AWS) Check(ctx context.Context) error {
	if a.Question == "" {
		return a.Client.check(ctx, a.Endpoint, nil)
	}
	return a.Client.check(ctx, a.Endpoint, func(ctx context.Context) error {
		var answer json.RawMessage
		return a.Call(ctx, a.Question, struct{}{}, &answer)
	})
}

// Call calls an action and decodes its answer into result. What the service
// refuses is an *Error.
func (a *AWS) Call(ctx context.Context, action string, params, result any) error {
	payload, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("parameters of %s: %w", action, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint+"/", bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", a.Endpoint, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", a.Target+"."+action)
	keys := aws.Credentials{AccessKeyID: a.KeyID, SecretAccessKey: a.KeySecret}
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hexSum(payload), a.Service, a.Region, time.Now()); err != nil {
		return fmt.Errorf("signing the request for %s: %w", req.URL.Host, err)
	}
	status, body, err := a.Client.do(ctx, req)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		var answer struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if decode(req.URL.Host, body, &answer) != nil || answer.Type == "" {
			return &Error{Status: status, Message: excerpt(body)}
		}
		// "com.amazonaws.kms#NotFoundException", in some services without the lead.
		_, code, ok := strings.Cut(answer.Type, "#")
		if !ok {
			code = answer.Type
		}
		return a.Client.refusal(&Error{Status: status, Code: code, Message: answer.Message})
	}
	return decode(req.URL.Host, body, result)
}
