package cloudapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Tencent calls services of Tencent Cloud: JSON, signed with TC3-HMAC-SHA256.
type Tencent struct {
	Client *Client
	// Endpoint is the URL of the service, Service its name ("sms"), Version that of
	// its API, Region where it is.
	Endpoint, Service, Version, Region string
	// KeyID and KeySecret sign.
	KeyID, KeySecret string
	// Question is an action that changes nothing, for Check; "": it only looks whether
	// somebody answers. That parameters are missing is an answer, too.
	Question string
}

const jsonType = "application/json; charset=utf-8"

// Check tells whether somebody answers at the endpoint, and with a Question whether it
// knows our credentials.
func (c *Tencent) Check(ctx context.Context) error {
	if c.Question == "" {
		return c.Client.check(ctx, c.Endpoint, nil)
	}
	return c.Client.check(ctx, c.Endpoint, func(ctx context.Context) error {
		var answer json.RawMessage
		_, err := c.Call(ctx, c.Question, struct{}{}, &answer)
		return err
	})
}

// Call calls an action and decodes its answer into result. What the service
// refuses is an *Error.
func (c *Tencent) Call(ctx context.Context, action string, params, result any) (requestID string, err error) {
	payload, err := json.Marshal(params)
	if err != nil {
		return "", fmt.Errorf("parameters of %s: %w", action, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", bytes.NewReader(payload))
	if err != nil {
		return "", fmt.Errorf("endpoint %q: %w", c.Endpoint, err)
	}
	now := time.Now()
	for name, value := range map[string]string{
		"Content-Type": jsonType, "X-TC-Action": action, "X-TC-Version": c.Version, "X-TC-Timestamp": strconv.FormatInt(now.Unix(), 10),
		"X-TC-Region": c.Region, "Authorization": c.authorization(req.URL.Host, payload, now),
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	status, body, err := c.Client.do(ctx, req)
	if err != nil {
		return "", err
	}
	var answer struct {
		Response json.RawMessage
	}
	var common struct {
		RequestId string //nolint:staticcheck // the vendor's key
		Error     *struct{ Code, Message string }
	}
	if status/100 != 2 || decode(req.URL.Host, body, &answer) != nil || decode(req.URL.Host, answer.Response, &common) != nil {
		return "", &Error{Status: status, Message: excerpt(body)}
	}
	if e := common.Error; e != nil {
		return "", c.Client.refusal(&Error{Status: status, Code: e.Code, Message: e.Message, RequestID: common.RequestId})
	}
	return common.RequestId, decode(req.URL.Host, answer.Response, result)
}

// authorization is the header of that name.
func (c *Tencent) authorization(host string, payload []byte, now time.Time) string {
	const algorithm, signed = "TC3-HMAC-SHA256", "content-type;host"
	date := now.UTC().Format(time.DateOnly)
	scope := date + "/" + c.Service + "/tc3_request"
	canonical := "POST\n/\n\ncontent-type:" + jsonType + "\nhost:" + host + "\n\n" + signed + "\n" + hexSum(payload)
	text := algorithm + "\n" + strconv.FormatInt(now.Unix(), 10) + "\n" + scope + "\n" + hexSum([]byte(canonical))
	key := []byte("TC3" + c.KeySecret)
	for _, part := range []string{date, c.Service, "tc3_request"} {
		key = hmacSHA256(key, part)
	}
	return fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", algorithm, c.KeyID, scope, signed, hex.EncodeToString(hmacSHA256(key, text)))
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
