package apollo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/apolloconfig/agollo/v4/env/config"
	"github.com/apolloconfig/agollo/v4/protocol/auth/sign"
	"gopkg.in/yaml.v3"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/webapi"
)

// pollTime is how long a long poll may take; the service answers within a minute.
const pollTime = 90 * time.Second

// errNotFound says that there is no such thing at Apollo, which for a namespace
// also means that nothing was ever released.
var errNotFound = errors.New("not found")

// client speaks with the configuration service and the open API.
type client struct {
	*settings
	services, writer *webapi.Client
}

func newClient(s *settings) *client {
	return &client{settings: s, services: webapi.New("Apollo", s.services), writer: webapi.New("Apollo", []string{s.OpenAPIAddress})}
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
	answer, err := c.read(ctx, where, c.timeout)
	switch {
	case err != nil || answer.Status == http.StatusNotModified:
		return nil, err
	case answer.Status == http.StatusNotFound:
		return &config.ApolloConfig{ApolloConnConfig: config.ApolloConnConfig{AppID: c.AppID, Cluster: c.Cluster, NamespaceName: namespace}}, nil
	case !answer.OK():
		return nil, errors.New(answer.Refusal())
	}
	var got config.ApolloConfig
	if err := json.Unmarshal(answer.Body, &got); err != nil {
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
	var top map[string]any
	if err := yaml.Unmarshal([]byte(content), &top); err != nil {
		return fmt.Errorf("the namespace %s is no valid YAML: %w", c.NamespaceName, err)
	}
	c.Configurations = make(map[string]any)
	join(c.Configurations, "", top)
	return nil
}

// join adds what is in a section to all, under keys with points between them.
func join(all map[string]any, prefix string, section map[string]any) {
	for key, value := range section {
		if deeper, ok := value.(map[string]any); ok && len(deeper) > 0 {
			join(all, prefix+key+".", deeper)
			continue
		}
		all[prefix+key] = value
	}
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
	answer, err := c.read(ctx, "/notifications/v2?"+query.Encode(), pollTime)
	switch {
	case err != nil || answer.Status == http.StatusNotModified:
		return nil, err
	case !answer.OK():
		return nil, errors.New(answer.Refusal())
	}
	var news []notification
	if err := json.Unmarshal(answer.Body, &news); err != nil {
		return nil, fmt.Errorf("%w: the notifications are not Apollo's: %w", configuration.ErrUnavailable, err)
	}
	return news, nil
}

// read gets something of the configuration service, of whichever one answers.
func (c *client) read(ctx context.Context, where string, limit time.Duration) (webapi.Answer, error) {
	return c.services.Do(ctx, webapi.Request{Method: http.MethodGet, Path: where, Limit: limit, Header: func(url string) http.Header {
		if c.Secret == "" {
			return http.Header{}
		}
		return (&sign.AuthSignature{}).HTTPHeaders(url, c.AppID, c.Secret)
	}})
}

func (c *client) close() {
	c.services.Close()
	c.writer.Close()
}
