// Package webapi sends requests to a configuration server's HTTP API: to whichever
// of several servers answers, each in bounded time, with errors that say which
// server and what, and none of the secrets in queries and headers. It knows no
// server's paths or messages.
package webapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// maxBody is how many bytes an answer may have.
const maxBody = 64 << 20

// Client sends requests. Use New. It is safe for concurrent use.
type Client struct {
	name string
	http *http.Client

	mu      sync.Mutex
	servers []string // the one that answered last is the first
}

// New makes a client of servers, each like http://host:port/path. name is what
// messages call them: "Apollo".
func New(name string, servers []string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 256, 32
	return &Client{name: name, http: &http.Client{Transport: transport}, servers: slices.Clone(servers)}
}

// SetServers replaces the servers.
func (c *Client) SetServers(servers []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.Clone(servers)
}

// order returns the servers in the order in which they are to be asked.
func (c *Client) order() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers)
}

// prefer notes that this server answers.
func (c *Client) prefer(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.servers, server); i > 0 {
		c.servers = append(slices.Clone(c.servers[i:]), c.servers[:i]...)
	}
}

// Request is what is sent.
type Request struct {
	Method string
	// Path is what comes behind the server's own path, escaped, and with a query.
	Path string
	Body []byte
	// Header makes the header for the whole URL; nil for none.
	Header func(url string) http.Header
	// Limit is how long it may take, at each server.
	Limit time.Duration
}

// Answer is what comes back.
type Answer struct {
	Status int
	Body   []byte
	// place is who answered, for messages.
	place string
}

// Do sends a request to the servers, one after the other until one answers. The
// answer may have any status but these: 401 and 403 are configuration.ErrDenied;
// 5xx, 408 and 429, and no answer at all, configuration.ErrUnavailable; one that
// does not come within the limit is components.Late, too.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	var errs []error
	for _, server := range c.order() {
		a, err := c.send(ctx, server+r.Path, r)
		if err == nil || !errors.Is(err, configuration.ErrUnavailable) {
			c.prefer(server)
			return a, err
		}
		errs = append(errs, err)
	}
	return Answer{}, errors.Join(errs...)
}

func (c *Client) send(ctx context.Context, where string, r Request) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, r.Method, where, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: it cannot be sent to %s", configuration.ErrInvalid, c.name)
	}
	if r.Header != nil {
		req.Header = r.Header(where)
	}
	place := c.name + " at " + req.URL.Host + req.URL.Path
	resp, err := c.http.Do(req)
	var body []byte
	if err == nil {
		defer resp.Body.Close() //nolint:errcheck // it was read, or is of no use
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	}
	switch {
	case err == nil && len(body) > maxBody:
		return Answer{}, fmt.Errorf("the answer of %s has more than %d bytes", place, maxBody)
	case err == nil:
		return judge(Answer{Status: resp.StatusCode, Body: body, place: place})
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case bounded.Err() != nil:
		return Answer{}, components.Late(fmt.Errorf("%w: %s does not answer within %s", configuration.ErrUnavailable, place, r.Limit))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the query
	}
	return Answer{}, fmt.Errorf("%w: %s: %w", configuration.ErrUnavailable, place, err)
}

// judge returns the answer, or the error that it is to any request.
func judge(a Answer) (Answer, error) {
	switch code := a.Status; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return a, fmt.Errorf("%w: %s: check the credentials and their rights", configuration.ErrDenied, a.Refusal())
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return a, fmt.Errorf("%w: %s", configuration.ErrUnavailable, a.Refusal())
	}
	return a, nil
}

// OK says whether the status is one of success.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// maxReason is how much of an answer's text is quoted, in bytes.
const maxReason = 300

// Refusal says who answered with which status and in which words: as JSON with a
// `message`, or as plain text.
func (a Answer) Refusal() string {
	var said struct {
		Message string `json:"message"`
	}
	text := strings.TrimSpace(string(a.Body))
	if json.Unmarshal(a.Body, &said) == nil {
		text = said.Message
	}
	if strings.HasPrefix(text, "<") { // a page for people
		text = ""
	}
	if len(text) > maxReason {
		text = text[:maxReason] + "…"
	}
	if text != "" {
		text = ": " + strings.ToValidUTF8(text, "\uFFFD")
	}
	return fmt.Sprintf("%s: status %d%s", a.place, a.Status, text)
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Base brings a server's address into the form http://host:port/path, without a
// slash at the end.
func Base(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("%q is no address", address)
	}
	return u.String(), nil
}
