package ottavo

import (
	"context"
	"maps"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Configuration is one configuration store of the runtime, or a part of it. It is
// safe for concurrent use and costs nothing to make.
type Configuration struct {
	api   runtimev1.RuntimeClient
	store string
	scope Scope
}

// Configuration returns the configuration store with that name in the runtime's
// configuration. Whether there is one shows in the first call.
func (c *Client) Configuration(name string) *Configuration {
	return &Configuration{api: c.api, store: name}
}

// Scope says whose items are meant, and which. What is "" is the store's default,
// and for AppID the application's id in the runtime's configuration.
type Scope struct {
	AppID, Group, Label string
	// Metadata goes to the store, which knows the keys.
	Metadata map[string]string
}

// In returns the part of the store in that scope.
func (c *Configuration) In(scope Scope) *Configuration {
	part := *c
	part.scope = scope
	return &part
}

// ConfigItem is an item of a configuration store.
type ConfigItem struct {
	Key, Content string
	// Group and Label say where the item is, together with its key. "" in Save is
	// what the scope has.
	Group, Label string
	// Tags are the writer's; may be nil.
	Tags map[string]string
	// Metadata is what the store says about the item; may be nil.
	Metadata map[string]string
	// Deleted is true in a Watch for an item that is gone; then Content is "".
	Deleted bool
}

// Get reads the items under the keys, or all in the scope when there are no keys.
// A key under which nothing is has no item in the result.
func (c *Configuration) Get(ctx context.Context, keys ...string) ([]ConfigItem, error) {
	resp, err := c.api.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{
		StoreName: c.store, AppId: c.scope.AppID, Group: c.scope.Group, Label: c.scope.Label, Keys: keys, Metadata: c.scope.Metadata,
	})
	if err != nil {
		return nil, failed("GetConfiguration", err)
	}
	items := make([]ConfigItem, len(resp.GetItems()))
	for i, item := range resp.GetItems() {
		items[i] = newConfigItem(item)
	}
	return items, nil
}

// Save writes items, whatever is there.
func (c *Configuration) Save(ctx context.Context, items ...ConfigItem) error {
	req := &runtimev1.SaveConfigurationRequest{StoreName: c.store, AppId: c.scope.AppID, Metadata: c.scope.Metadata}
	for _, item := range items {
		out := &runtimev1.ConfigurationItem{
			Key: item.Key, Content: item.Content, Group: item.Group, Label: item.Label, Tags: item.Tags, Metadata: item.Metadata,
		}
		if out.Group == "" {
			out.Group = c.scope.Group
		}
		if out.Label == "" {
			out.Label = c.scope.Label
		}
		req.Items = append(req.Items, out)
	}
	_, err := c.api.SaveConfiguration(ctx, req)
	return failed("SaveConfiguration", err)
}

// Delete removes the items under the keys. It is no error when nothing is there.
func (c *Configuration) Delete(ctx context.Context, keys ...string) error {
	_, err := c.api.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{
		StoreName: c.store, AppId: c.scope.AppID, Group: c.scope.Group, Label: c.scope.Label, Keys: keys, Metadata: c.scope.Metadata,
	})
	return failed("DeleteConfiguration", err)
}

// deletedKey is the metadata by which the runtime tells that an item is gone.
const deletedKey = "deleted"

func newConfigItem(m *runtimev1.ConfigurationItem) ConfigItem {
	return ConfigItem{
		Key: m.GetKey(), Content: m.GetContent(), Group: m.GetGroup(), Label: m.GetLabel(), Tags: m.GetTags(), Metadata: m.GetMetadata(),
		Deleted: m.GetMetadata()[deletedKey] == "true",
	}
}

// same reports whether nothing happened between two looks at an item.
func (i ConfigItem) same(other ConfigItem) bool {
	if i.Deleted || other.Deleted {
		return i.Deleted == other.Deleted
	}
	return i.Content == other.Content && maps.Equal(i.Tags, other.Tags) && maps.Equal(i.Metadata, other.Metadata)
}

// configID is what an item is known by.
type configID struct{ group, label, key string }

func (i ConfigItem) id() configID { return configID{i.Group, i.Label, i.Key} }
