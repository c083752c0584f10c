package nacos

import (
	"context"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // the digests of Nacos' long poll
	"crypto/sha1" //nolint:gosec // the signatures of Alibaba Cloud
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/webapi"
)

const (
	configsPath = "/v1/cs/configs"
	// holdTime is how long the server may hold a long poll.
	holdTime = 30 * time.Second
	// pageSize is how many items are asked for at a time.
	pageSize = 200
	// defaultEndpointPort is where a list of servers is, if nothing is said.
	defaultEndpointPort = "8080"
)

// The characters between the parts of a long poll's list.
const (
	wordMark = "\x02"
	lineMark = "\x01"
)

// hasPath says whether something follows the host of an address.
func hasPath(base string) bool {
	u, err := url.Parse(base)
	return err == nil && u.Path != ""
}

// endpoint is where the list of servers is.
func endpoint(address string) (string, error) {
	base, err := webapi.Base(address)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Port() == "" {
		u.Host += ":" + defaultEndpointPort
	}
	if u.Path == "" {
		u.Path = contextPath + "/serverlist"
	}
	return u.String(), nil
}

// client speaks with Nacos.
type client struct {
	*settings
	api, lists *webapi.Client

	mu      sync.Mutex
	token   string
	expires time.Time
}

func newClient(s *settings) *client {
	return &client{settings: s, api: webapi.New("Nacos", s.servers), lists: webapi.New("the list of Nacos' servers", []string{s.listURL})}
}

func (c *client) close() {
	c.api.Close()
	c.lists.Close()
}

// findServers reads the list of servers, where there is one.
func (c *client) findServers(ctx context.Context) error {
	if c.listURL == "" {
		return nil
	}
	answer, err := c.lists.Do(ctx, webapi.Request{Method: http.MethodGet, Limit: c.timeout})
	if err != nil {
		return err
	}
	if !answer.OK() {
		return fmt.Errorf("%w: %s", configuration.ErrUnavailable, answer.Refusal())
	}
	var servers []string
	for line := range strings.SplitSeq(string(answer.Body), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !strings.Contains(line, ":") {
			line += ":8848"
		}
		server, err := serverOf(line)
		if err != nil {
			return fmt.Errorf("%w: the list of Nacos' servers: %w", configuration.ErrUnavailable, err)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return fmt.Errorf("%w: the list of Nacos' servers at %s is empty", configuration.ErrUnavailable, c.listURL)
	}
	c.api.SetServers(servers)
	return nil
}

// login returns a token, a new one if fresh says so; "" without credentials.
func (c *client) login(ctx context.Context, fresh bool) (string, error) {
	if c.Username == "" {
		return "", nil
	}
	c.mu.Lock()
	token, good := c.token, time.Now().Before(c.expires)
	c.mu.Unlock()
	if good && !fresh {
		return token, nil
	}
	form := url.Values{"username": {c.Username}, "password": {c.Password}}
	answer, err := c.api.Do(ctx, webapi.Request{
		Method: http.MethodPost, Path: "/v1/auth/login", Body: []byte(form.Encode()), Limit: c.timeout, Header: formHeader,
	})
	if err != nil {
		return "", err
	}
	var got struct {
		AccessToken string `json:"accessToken"`
		TokenTTL    int64  `json:"tokenTtl"` // seconds
	}
	if !answer.OK() || json.Unmarshal(answer.Body, &got) != nil || got.AccessToken == "" {
		return "", fmt.Errorf("%w: %s: check username and password", configuration.ErrDenied, answer.Refusal())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.expires = got.AccessToken, time.Now().Add(time.Duration(got.TokenTTL)*time.Second*9/10)
	return c.token, nil
}

func formHeader(string) http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}}
}

// request is one of the API.
type request struct {
	method, path string
	params       url.Values
	form         bool   // the parameters go in the body, not in the query
	resource     string // what is signed
	header       http.Header
	limit        time.Duration
}

// about makes a request about a group.
func (c *client) about(method, group string, params url.Values) request {
	params.Set("group", group)
	resource := group
	if c.NamespaceID != "" {
		params.Set("tenant", c.NamespaceID)
		resource = c.NamespaceID + "+" + group
	}
	return request{method: method, path: configsPath, params: params, resource: resource, limit: c.timeout}
}

// call sends a request, a second time with a new token or to other servers if that
// may help.
func (c *client) call(ctx context.Context, r request) (webapi.Answer, error) {
	for again := range 2 {
		token, err := c.login(ctx, again > 0)
		if err != nil {
			return webapi.Answer{}, err
		}
		query := url.Values{}
		var body []byte
		if r.form {
			body = []byte(r.params.Encode())
		} else {
			query = r.params
		}
		if token != "" {
			query.Set("accessToken", token)
		}
		where := r.path
		if len(query) > 0 {
			where += "?" + query.Encode()
		}
		answer, err := c.api.Do(ctx, webapi.Request{Method: r.method, Path: where, Body: body, Limit: r.limit, Header: func(string) http.Header {
			h := c.sign(r.resource)
			if r.form {
				h.Set("Content-Type", formHeader("").Get("Content-Type"))
			}
			for key, values := range r.header {
				h[key] = values
			}
			return h
		}})
		switch {
		case errors.Is(err, configuration.ErrDenied) && token != "" && again == 0:
			continue // the token may have expired earlier than it was to
		case errors.Is(err, configuration.ErrUnavailable) && c.listURL != "" && again == 0:
			if c.findServers(ctx) == nil {
				continue
			}
		}
		return answer, err
	}
	return webapi.Answer{}, fmt.Errorf("%w: Nacos does not take the token that it gave", configuration.ErrDenied)
}

// sign makes the headers by which Alibaba Cloud knows us.
func (c *client) sign(resource string) http.Header {
	h := http.Header{}
	if c.AccessKey == "" {
		return h
	}
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	text := now
	if resource != "" {
		text = resource + "+" + now
	}
	mac := hmac.New(sha1.New, []byte(c.SecretKey))
	mac.Write([]byte(text))
	h.Set("Spas-AccessKey", c.AccessKey)
	h.Set("Timestamp", now)
	h.Set("Spas-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return h
}

// get returns a content; there is false when there is none.
func (c *client) get(ctx context.Context, group, key string) (content string, there bool, err error) {
	answer, err := c.call(ctx, c.about(http.MethodGet, group, url.Values{"dataId": {key}}))
	switch {
	case err != nil:
		return "", false, err
	case answer.Status == http.StatusNotFound:
		return "", false, nil
	case !answer.OK():
		return "", false, refused(answer)
	}
	return string(answer.Body), true, nil
}

// refused is the error for an answer that is no success and nothing else either.
func refused(a webapi.Answer) error {
	if a.Status == http.StatusBadRequest {
		return fmt.Errorf("%w: %s", configuration.ErrInvalid, a.Refusal())
	}
	return errors.New(a.Refusal())
}

// page is a part of a list.
type page struct {
	Pages int `json:"pagesAvailable"`
	Items []struct {
		DataID  string `json:"dataId"`
		Group   string `json:"group"`
		Content string `json:"content"`
	} `json:"pageItems"`
}

// listPage returns a part of the items of a group, of all groups for "".
func (c *client) listPage(ctx context.Context, group string, number, size int) ([]configuration.Item, int, error) {
	answer, err := c.call(ctx, c.about(http.MethodGet, group, url.Values{
		"search": {"accurate"}, "dataId": {""}, "pageNo": {strconv.Itoa(number)}, "pageSize": {strconv.Itoa(size)},
	}))
	if err != nil {
		return nil, 0, err
	}
	if !answer.OK() {
		return nil, 0, refused(answer)
	}
	var got page
	if err := json.Unmarshal(answer.Body, &got); err != nil {
		return nil, 0, fmt.Errorf("%w: the list is not Nacos': %w", configuration.ErrUnavailable, err)
	}
	items := make([]configuration.Item, len(got.Items))
	for i, it := range got.Items {
		items[i] = configuration.Item{Key: it.DataID, Group: it.Group, Content: it.Content}
	}
	return items, got.Pages, nil
}

// list returns all items of a group, of all groups for "".
func (c *client) list(ctx context.Context, group string) ([]configuration.Item, error) {
	var all []configuration.Item
	for number := 1; ; number++ {
		items, pages, err := c.listPage(ctx, group, number, pageSize)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if number >= pages || len(items) == 0 {
			return all, nil
		}
	}
}

// put creates or replaces an item.
func (c *client) put(ctx context.Context, appID, group, key, content string) error {
	params := url.Values{"dataId": {key}, "content": {content}}
	if appID != "" {
		params.Set("appName", appID)
	}
	r := c.about(http.MethodPost, group, params)
	r.form = true
	return c.change(ctx, r)
}

// remove removes an item; that there is none is no error.
func (c *client) remove(ctx context.Context, group, key string) error {
	return c.change(ctx, c.about(http.MethodDelete, group, url.Values{"dataId": {key}}))
}

func (c *client) change(ctx context.Context, r request) error {
	answer, err := c.call(ctx, r)
	switch {
	case err != nil:
		return err
	case !answer.OK():
		return refused(answer)
	case strings.TrimSpace(string(answer.Body)) != "true":
		return fmt.Errorf("Nacos did not do it: %s", answer.Refusal()) //nolint:staticcheck // a name
	}
	return nil
}

// digest is what Nacos knows a content by; "" for no item.
func digest(content string) string {
	sum := md5.Sum([]byte(content)) //nolint:gosec // Nacos' choice
	return hex.EncodeToString(sum[:])
}

// place is a group and a key in it.
type place struct{ group, key string }

// listen waits until one of the items has another digest, for at most limit, and
// returns which; none when the time is up.
func (c *client) listen(ctx context.Context, known map[place]string, limit time.Duration) ([]place, error) {
	var b strings.Builder
	for p, sum := range known {
		b.WriteString(p.key + wordMark + p.group + wordMark + sum)
		if c.NamespaceID != "" {
			b.WriteString(wordMark + c.NamespaceID)
		}
		b.WriteString(lineMark)
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := c.call(bounded, request{
		method: http.MethodPost, path: configsPath + "/listener", params: url.Values{"Listening-Configs": {b.String()}}, form: true,
		header: http.Header{"Long-Pulling-Timeout": {strconv.FormatInt(holdTime.Milliseconds(), 10)}}, limit: holdTime + c.timeout,
	})
	switch {
	case err != nil && ctx.Err() == nil && bounded.Err() != nil:
		return nil, nil
	case err != nil:
		return nil, err
	case !answer.OK():
		return nil, refused(answer)
	}
	return changedIn(string(answer.Body))
}

// changedIn reads a long poll's answer.
func changedIn(body string) ([]place, error) {
	text, err := url.QueryUnescape(strings.TrimSpace(body))
	if err != nil {
		return nil, fmt.Errorf("%w: the list of changes is not Nacos': %w", configuration.ErrUnavailable, err)
	}
	var changed []place
	for line := range strings.SplitSeq(text, lineMark) {
		words := strings.Split(line, wordMark)
		if len(words) >= 2 && words[0] != "" {
			changed = append(changed, place{group: words[1], key: words[0]})
		}
	}
	return slices.Compact(changed), nil
}
