// Package cloudapi calls the HTTP APIs of cloud vendors: signing, sending, and
// reading an answer of bounded size. It knows no service; components do. Nothing
// that it returns or logs holds a secret key.
package cloudapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components"
	confdecode "github.com/ottavo-runtime/ottavo/internal/decode"
)

const (
	// callTimeout bounds a call whose caller sets no limit.
	callTimeout = 15 * time.Second
	// maxAnswer is the most bytes of an answer that are read.
	maxAnswer = 4 << 20
	// reachedFor is how long a server that answered counts as there.
	reachedFor = 10 * time.Second
	// acceptedFor is how long credentials that were accepted count as good: some
	// vendors want money for each question.
	acceptedFor = time.Minute
	// maxExcerpt is how many bytes of an answer are quoted in an error.
	maxExcerpt = 300
)

// Client sends requests. It is safe for concurrent use.
type Client struct {
	http *http.Client

	mu       sync.Mutex
	reached  time.Time // when a server answered last
	accepted time.Time // when it knew our credentials last
}

// NewClient makes one with connections of its own.
func NewClient() *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &Client{http: &http.Client{Transport: t}}
}

// Close closes idle connections. It is safe twice.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is no success.
type Error struct {
	// Status is the HTTP status; Code and Message are the vendor's words, "" when
	// the answer does not have them. RequestID is for the vendor's support.
	Status                   int
	Code, Message, RequestID string
}

// Error says what the vendor said.
func (e *Error) Error() string {
	s := e.Code
	if s == "" {
		s = fmt.Sprintf("HTTP status %d", e.Status)
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// do sends a request and returns status and body. It ends when ctx does, or after
// callTimeout.
func (c *Client) do(ctx context.Context, req *http.Request) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		c.mu.Lock()
		c.reached = time.Time{}
		c.mu.Unlock()
		// The URL of some vendors' requests holds the signature: it is left out.
		if cause := context.Cause(ctx); cause != nil {
			return 0, nil, fmt.Errorf("calling %s: %w", req.URL.Host, cause)
		}
		return 0, nil, fmt.Errorf("calling %s: %w", req.URL.Host, unwrapURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("the answer of %s is longer than %d bytes", req.URL.Host, maxAnswer)
	}
	return resp.StatusCode, body, nil
}

// reach makes sure that somebody answers at an endpoint, whatever the answer is:
// asking for more takes rights, and money. An answer counts for reachedFor.
func (c *Client) reach(ctx context.Context, endpoint string) error {
	c.mu.Lock()
	fresh := time.Since(c.reached) < reachedFor
	c.mu.Unlock()
	if fresh {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint+"/", nil)
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	if _, _, err := c.do(ctx, req); err != nil {
		return err
	}
	c.mu.Lock()
	c.reached = time.Now()
	c.mu.Unlock()
	return nil
}

// badCredentials are the beginnings of the vendors' codes for a key that is unknown,
// was withdrawn or has run out, and for a wrong secret. What the key may do is
// another matter: they have other codes for it.
var badCredentials = []string{
	// Amazon
	"UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature", "InvalidClientTokenId",
	"ExpiredToken", "MissingAuthenticationToken",
	// Alibaba
	"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurityToken", "InvalidAccessKeySecret",
	// Tencent
	"AuthFailure",
}

// refusal returns an answer that is no success, and has the next check ask when it is
// because of the credentials.
func (c *Client) refusal(e *Error) error {
	if e.credentials() {
		c.mu.Lock()
		c.accepted = time.Time{}
		c.mu.Unlock()
	}
	return e
}

func (e *Error) credentials() bool {
	if e.Code == "AuthFailure.UnauthorizedOperation" { // Tencent's other word for what the key may not do
		return false
	}
	return slices.ContainsFunc(badCredentials, func(code string) bool { return strings.HasPrefix(e.Code, code) })
}

// check makes sure that somebody answers at an endpoint and knows our credentials:
// question is a harmless call that is signed with them; nil: none. That it is refused
// for another reason is fine. Credentials count as good for acceptedFor.
func (c *Client) check(ctx context.Context, endpoint string, question func(context.Context) error) error {
	if err := c.reach(ctx, endpoint); err != nil || question == nil {
		return err
	}
	c.mu.Lock()
	fresh := time.Since(c.accepted) < acceptedFor
	c.mu.Unlock()
	if fresh {
		return nil
	}
	err := question(ctx)
	if e, ok := errors.AsType[*Error](err); ok {
		if e.credentials() {
			return fmt.Errorf("%s does not accept the credentials: %w", endpoint, err)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.accepted = time.Now()
	c.mu.Unlock()
	return nil
}

// unwrapURL returns what a *url.Error wraps: its text quotes the whole URL.
func unwrapURL(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok && u.Unwrap() != nil {
		return u.Unwrap()
	}
	return err
}

// decode reads an answer as JSON.
func decode(host string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer of %s is not the JSON that is expected: %s", host, excerpt(body))
	}
	return nil
}

func excerpt(body []byte) string {
	body = bytes.TrimSpace(body)
	if len(body) > maxExcerpt {
		body = body[:maxExcerpt]
		for len(body) > 0 && !utf8.Valid(body) {
			body = body[:len(body)-1]
		}
	}
	return strings.ToValidUTF8(string(body), "\uFFFD")
}

// Endpoint returns the URL of an endpoint that is a host or a URL; "" is fallback.
func Endpoint(endpoint, fallback string) string {
	if endpoint == "" {
		endpoint = fallback
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	return strings.TrimRight(endpoint, "/")
}

// Required returns an error that names the settings that are missing, given by
// their keys with their values.
func Required(cfg components.Config, settings map[string]string) error {
	var problems confdecode.Problems
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if settings[key] == "" {
			problems = append(problems, confdecode.Problem{Path: confdecode.Join(cfg.SettingsPath(), key), Message: "is missing", Remedy: "write it, or let secret_ref fill it in"})
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}
