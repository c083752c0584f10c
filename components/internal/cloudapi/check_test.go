package cloudapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCheckCredentials: a key that the vendor does not know any more is told of as soon
// as a call has heard it, or after a while; what it may do is another matter; and it is
// not asked for at every check.
func TestCheckCredentials(t *testing.T) {
	type service interface {
		Check(ctx context.Context) error
	}
	for name, tt := range map[string]struct {
		bad, rights string // what the vendor says of an unknown key, and of one without rights
		status      int    // with that
		make        func(client *Client, url string) (service, func(ctx context.Context) error)
	}{
		"aws": {
			bad: `{"__type": "com.amazonaws.kms#UnrecognizedClientException", "message": "no"}`, rights: `{"__type": "AccessDeniedException", "message": "no"}`, status: 400,
			make: func(client *Client, url string) (service, func(ctx context.Context) error) {
				a := &AWS{Client: client, Endpoint: url, Service: "kms", Target: "T", Region: "r", KeyID: "id", KeySecret: "s3cret", Question: "ListKeys"}
				return a, func(ctx context.Context) error { return a.Call(ctx, "Encrypt", struct{}{}, new(any)) }
			},
		},
		"aliyun": {
			bad: `{"Code": "InvalidAccessKeyId.NotFound", "Message": "no", "RequestId": "1"}`, rights: `{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "1"}`, status: 403,
			make: func(client *Client, url string) (service, func(ctx context.Context) error) {
				a := &Aliyun{Client: client, Endpoint: url, Version: "2016-01-20", KeyID: "id", KeySecret: "s3cret", Question: "ListKeys"}
				return a, func(ctx context.Context) error { return a.Call(ctx, "Encrypt", nil, new(any)) }
			},
		},
		"tencent": {
			bad: `{"Response": {"RequestId": "1", "Error": {"Code": "AuthFailure.SecretIdNotFound", "Message": "no"}}}`, status: 200,
			rights: `{"Response": {"RequestId": "1", "Error": {"Code": "AuthFailure.UnauthorizedOperation", "Message": "no"}}}`,
			make: func(client *Client, url string) (service, func(ctx context.Context) error) {
				c := &Tencent{Client: client, Endpoint: url, Service: "sms", Version: "2021-01-11", KeyID: "id", KeySecret: "s3cret", Question: "SendStatusStatistics"}
				return c, func(ctx context.Context) error { _, err := c.Call(ctx, "SendSms", nil, new(any)); return err }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			var answer atomic.Pointer[string]
			answer.Store(&tt.rights)
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					return
				}
				asked.Add(1)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, *answer.Load())
			})
			synctest.Test(t, func(t *testing.T) {
				client := NewClient()
				client.http.Transport = inProcess{handler}
				s, call := tt.make(client, "http://vendor")
				checks := func(want bool, asks int32) {
					t.Helper()
					before := asked.Load()
					for range 3 {
						err := s.Check(t.Context())
						if (err == nil) != want || err != nil && (!strings.Contains(err.Error(), "http://vendor does not accept the credentials") || strings.Contains(err.Error(), "s3cret")) {
							t.Fatalf("Check: %v, want healthy: %t", err, want)
						}
					}
					if n := asked.Load() - before; n != asks {
						t.Errorf("three checks asked %d times, want %d", n, asks)
					}
				}
				checks(true, 1) // it may not, but it is known
				answer.Store(&tt.bad)
				checks(true, 0)
				time.Sleep(acceptedFor)
				checks(false, 3)
				answer.Store(&tt.rights)
				checks(true, 1)
				answer.Store(&tt.bad)
				if err := call(t.Context()); err == nil {
					t.Error("a call with an unknown key: no error")
				}
				checks(false, 3) // at once
			})
		})
	}
}

// inProcess is a server without a network.
type inProcess struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}
