package cloudapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Aliyun calls services of Alibaba Cloud in its RPC style: parameters in a form,
// signed with HMAC-SHA1 (signature version 1.0).
type Aliyun struct {
	Client *Client
	// Endpoint is the URL of the service, Version that of its API: "2016-01-20".
	Endpoint, Version string
	// KeyID and KeySecret sign.
	KeyID, KeySecret string
	// Question is an action that changes nothing, for Check; "": it only looks whether
	// somebody answers. That parameters are missing is an answer, too.
	Question string
}

// Check tells whether somebody answers at the endpoint, and with a Question whether it
// knows our credentials.
func (a *Aliyun) Check(ctx context.Context) error {
	if a.Question == "" {
		return a.Client.check(ctx, a.Endpoint, nil)
	}
	return a.Client.check(ctx, a.Endpoint, func(ctx context.Context) error {
		var answer json.RawMessage
		return a.Call(ctx, a.Question, nil, &answer)
	})
}

// Call calls an action and decodes its answer into result. What the service
// refuses is an *Error.
func (a *Aliyun) Call(ctx context.Context, action string, params map[string]string, result any) error {
	signed := a.sign(http.MethodPost, action, params, time.Now(), uuid.NewString())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint+"/", strings.NewReader(signed.Encode()))
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", a.Endpoint, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := a.Client.do(ctx, req)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		var answer struct {
			Code, Message, RequestId string //nolint:staticcheck // the vendor's key
		}
		if decode(req.URL.Host, body, &answer) != nil || answer.Code == "" {
			return &Error{Status: status, Message: excerpt(body)}
		}
		return a.Client.refusal(&Error{Status: status, Code: answer.Code, Message: answer.Message, RequestID: answer.RequestId})
	}
	return decode(req.URL.Host, body, result)
}

// sign adds the common parameters and the signature.
func (a *Aliyun) sign(method, action string, params map[string]string, now time.Time, nonce string) url.Values {
	all := map[string]string{
		"Format": "JSON", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": nonce,
		"Timestamp": now.UTC().Format("2006-01-02T15:04:05Z"), "Version": a.Version, "AccessKeyId": a.KeyID, "Action": action,
	}
	maps.Copy(all, params)
	values := make(url.Values, len(all)+1)
	for k, v := range all {
		values.Set(k, v)
	}
	values.Set("Signature", aliyunSignature(method, values, a.KeySecret))
	return values
}

// aliyunSignature is the signature of parameters.
func aliyunSignature(method string, params url.Values, secret string) string {
	// Encode sorts; what it escapes otherwise than RFC 3986 is put right.
	text := method + "&%2F&" + rfc3986(url.QueryEscape(rfc3986(params.Encode())))
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func rfc3986(escaped string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(escaped)
}
