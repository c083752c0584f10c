package apollo

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/webapi"
)

// portal writes through the open API.
func (c *client) portal(ctx context.Context, method, where string, query url.Values, body map[string]any) error {
	if c.OpenAPIAddress == "" {
		return fmt.Errorf("%w: writing to Apollo needs open_api_address, open_api_token and open_api_user in the metadata", configuration.ErrNotSupported)
	}
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	where = "/openapi/v1/" + where
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	answer, err := c.writer.Do(ctx, webapi.Request{Method: method, Path: where, Body: data, Limit: c.timeout, Header: func(string) http.Header {
		return http.Header{"Authorization": {c.OpenAPIToken}, "Content-Type": {"application/json;charset=UTF-8"}}
	}})
	switch {
	case err != nil || answer.OK():
		return err
	case answer.Status == http.StatusNotFound:
		return fmt.Errorf("%w: %s", errNotFound, answer.Refusal())
	}
	return errors.New(answer.Refusal())
}

// namespacePath is where a namespace is in the open API.
func (c *client) namespacePath(namespace string) string {
	return "envs/" + url.PathEscape(c.Env) + "/apps/" + url.PathEscape(c.AppID) + "/clusters/" + url.PathEscape(c.Cluster) +
		"/namespaces/" + url.PathEscape(namespace)
}

// itemPath is where an item is in the open API. Characters that have a meaning in
// a path go in the form that Apollo has for them.
func (c *client) itemPath(namespace, key string) string {
	if strings.ContainsAny(key, `/\%;`) || key == "." || key == ".." {
		return c.namespacePath(namespace) + "/encodedItems/" + base64.URLEncoding.EncodeToString([]byte(key))
	}
	return c.namespacePath(namespace) + "/items/" + url.PathEscape(key)
}

// put creates or replaces an item; it counts from the next release on.
func (c *client) put(ctx context.Context, namespace, key, value string) error {
	return c.portal(ctx, http.MethodPut, c.itemPath(namespace, key), url.Values{"createIfNotExists": {"true"}}, map[string]any{
		"key": key, "value": value, "comment": "", "dataChangeCreatedBy": c.OpenAPIUser, "dataChangeLastModifiedBy": c.OpenAPIUser,
	})
}

// remove removes an item, and says whether there was one; that there is none is no
// error.
func (c *client) remove(ctx context.Context, namespace, key string) (removed bool, err error) {
	err = c.portal(ctx, http.MethodDelete, c.itemPath(namespace, key), url.Values{"operator": {c.OpenAPIUser}}, nil)
	if errors.Is(err, errNotFound) || err != nil && missingItem(err) {
		return false, nil
	}
	return err == nil, err
}

// missingItem says whether a refusal is about an item that is not there, for which
// some versions of Apollo have the status 400.
func missingItem(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "status 400") && strings.Contains(text, "item") && (strings.Contains(text, "not exist") || strings.Contains(text, "not found"))
}

// release makes what was written visible.
func (c *client) release(ctx context.Context, namespace string) error {
	return c.portal(ctx, http.MethodPost, c.namespacePath(namespace)+"/releases", nil, map[string]any{
		"releaseTitle": "ottavo", "releaseComment": "", "releasedBy": c.OpenAPIUser,
	})
}

// createNamespace makes the namespace that tags are in.
func (c *client) createNamespace(ctx context.Context, namespace string) error {
	return c.portal(ctx, http.MethodPost, "apps/"+url.PathEscape(c.AppID)+"/appnamespaces", nil, map[string]any{
		"name": namespace, "appId": c.AppID, "format": "properties", "isPublic": false,
		"comment": "tags of configuration items", "dataChangeCreatedBy": c.OpenAPIUser,
	})
}
