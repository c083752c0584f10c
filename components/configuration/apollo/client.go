package apollo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apolloconfig/agollo/v4/env/config"
	"github.com/apolloconfig/agollo/v4/protocol/auth/sign"
	"github.com/apolloconfig/agollo/v4/utils/parse"
	"github.com/apolloconfig/agollo/v4/utils/parse/yaml"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

const (
	// maxBody is how many bytes an answer may have.
	maxBody = 64 << 20
	// pollTime is how long a long poll may take; the service answers within a
	// minute.
	pollTime = 90 * time.Second
)

// errNotFound says that there is no such thing at Apollo, which for a namespace
// also means that nothing was ever released.
var errNotFound = errors.New("not found")

// client speaks with the configuration service and the open API.
type client struct {
	*settings
	http *http.Client
	// current is the service that answered last, an index.
	current atomic.Int64
}

func newClient(s *settings) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 256, 32
	return &client{settings: s, http: &http.Client{Transport: transport}}
}

// fetch reads a namespace. It returns nil when that is as it was at the release,
// or, with a release of "", an empty one when there is none. messages are those of
// the notification that it is read for, if any.
func (c *client) fetch(ctx context.Context, namespace, release, messages string) (*config.ApolloConfig, error) {
	query := url.Values{}
	if release != "" {
		query.Set("releaseKey", release)
	}
	if messages != "" {
		query.Set("messages", messages)
	}
	where := "/configs/" + url.PathEscape(c.AppID) + "/" + url.PathEscape(c.Cluster) + "/" + url.PathEscape(namespace)
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	body, err := c.read(ctx, where, c.timeout)
	switch {
	case errors.Is(err, errNotFound):
		return &config.ApolloConfig{ApolloConnConfig: config.ApolloConnConfig{AppID: c.AppID, Cluster: c.Cluster, NamespaceName: namespace}}, nil
	case err != nil || body == nil:
		return nil, err
	}
	var got config.ApolloConfig
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, fmt.Errorf("%w: the answer to %s is not Apollo's: %w", configuration.ErrUnavailable, where, err)
	}
	got.NamespaceName = namespace
	return &got, flatten(&got)
}

// flatten brings the content of a namespace in YAML into keys.
func flatten(c *config.ApolloConfig) error {
	content, ok := c.Configurations["content"].(string)
	if ext := path.Ext(c.NamespaceName); !ok || ext != ".yaml" && ext != ".yml" {
		return nil
	}
	var parser parse.ContentParser = &yaml.Parser{}
	flat, err := parser.Parse(content)
	if err != nil {
		return fmt.Errorf("the namespace %s is no valid YAML: %w", c.NamespaceName, err)
	}
	c.Configurations = flat
	return nil
}

// notification is one that a poll brings, or what it is asked for.
type notification struct {
	Namespace string          `json:"namespaceName"`
	ID        int64           `json:"notificationId"`
	Messages  json.RawMessage `json:"messages,omitempty"`
}

// poll waits for a notification of these namespaces with another id than that
// given; none when the service sent it away without.
func (c *client) poll(ctx context.Context, ids []notification) ([]notification, error) {
	known, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	query := url.Values{"appId": {c.AppID}, "cluster": {c.Cluster}, "notifications": {string(known)}}
	body, err := c.read(ctx, "/notifications/v2?"+query.Encode(), pollTime)
	if err != nil || body == nil {
		return nil, err
	}
	var news []notification
	if err := json.Unmarshal(body, &news); err != nil {
		return nil, fmt.Errorf("%w: the notifications are not Apollo's: %w", configuration.ErrUnavailable, err)
	}
	return news, nil
}

// read gets something of the configuration service, of whichever one answers; nil
// when it has not changed.
func (c *client) read(ctx context.Context, where string, limit time.Duration) ([]byte, error) {
	var errs []error
	first := c.current.Load()
	for i := range c.services {
		at := (first + int64(i)) % int64(len(c.services))
		header := http.Header{}
		if c.Secret != "" {
			header = (&sign.AuthSignature{}).HTTPHeaders(c.services[at]+where, c.AppID, c.Secret)
		}
		body, err := c.send(ctx, http.MethodGet, c.services[at]+where, header, nil, limit)
		if err == nil || !errors.Is(err, configuration.ErrUnavailable) {
			c.current.Store(at)
			return body, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// send does one exchange, in the time that there is. It returns the answer's body,
// nil for one that says that nothing has changed.
func (c *client) send(ctx context.Context, method, where string, header http.Header, body []byte, limit time.Duration) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, method, where, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", configuration.ErrInvalid, err)
	}
	req.Header = header
	place := req.URL.Host + req.URL.Path
	failed := func(err error) ([]byte, error) {
		if ended := ctx.Err(); ended != nil {
			return nil, ended
		}
		if bounded.Err() != nil {
			return nil, fmt.Errorf("%w: Apollo at %s does not answer within %s", configuration.ErrUnavailable, place, limit)
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the query
		}
		return nil, fmt.Errorf("%w: Apollo at %s: %w", configuration.ErrUnavailable, place, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is of no use
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return failed(err)
	case len(answer) > maxBody:
		return nil, fmt.Errorf("the answer of Apollo at %s has more than %d bytes", place, maxBody)
	}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		if answer == nil {
			answer = []byte{}
		}
		return answer, nil
	case code == http.StatusNotModified:
		return nil, nil
	case code == http.StatusNotFound:
		return nil, fmt.Errorf("Apollo at %s: %w%s", place, errNotFound, reason(answer)) //nolint:staticcheck // a name
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, fmt.Errorf("%w: Apollo at %s: status %d%s: check secret, open_api_token and their rights", configuration.ErrDenied, place, code, reason(answer))
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return nil, fmt.Errorf("%w: Apollo at %s: status %d%s", configuration.ErrUnavailable, place, code, reason(answer))
	default:
		return nil, fmt.Errorf("Apollo at %s: status %d%s", place, code, reason(answer)) //nolint:staticcheck // a name
	}
}

// reason returns what an answer says of a failure, as the end of a message.
func reason(body []byte) string {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		return ""
	}
	if len(said.Message) > 300 {
		said.Message = said.Message[:300] + "…"
	}
	return ": " + strings.ToValidUTF8(said.Message, "\uFFFD")
}

func (c *client) close() { c.http.CloseIdleConnections() }
