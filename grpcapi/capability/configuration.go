package capability

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Operations of Configuration in an Error.
const (
	ConfigurationGet    Op = "get"
	ConfigurationSave   Op = "save"
	ConfigurationDelete Op = "delete"
	ConfigurationWatch  Op = "watch"
)

// InitialKey is the key of a watch's metadata that says, with "false", that the
// caller wants changes only, not what there is.
const InitialKey = "initial"

// Configuration reads, writes and watches the stores it was made from.
//
// A group or label that is blank is the store's default, an application's id that
// is blank the sidecar's own.
type Configuration struct {
	appID  string
	stores map[string]configuration.Store

	mu      sync.Mutex
	stopped bool
	watches map[*context.CancelCauseFunc]struct{} // what ends each of them
}

// NewConfiguration takes the stores by their names, and the id that stands for
// an application's id that a caller leaves out. The map is copied.
func NewConfiguration(appID string, stores map[string]configuration.Store) *Configuration {
	return &Configuration{appID: appID, stores: maps.Clone(stores), watches: make(map[*context.CancelCauseFunc]struct{})}
}

// errStopping is why watches end when this process is about to.
var errStopping = errors.New("the runtime is stopping: subscribe again, at another one or when it is back")

// Run waits for the end of ctx and then ends all watches, with an Error that is
// Unavailable: they would go on for ever, and keep this process from ending.
func (c *Configuration) Run(ctx context.Context) {
	if c == nil {
		return
	}
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for end := range c.watches {
		(*end)(errStopping)
	}
}

// begin returns a context that also ends when all watches do; end gives it up.
func (c *Configuration) begin(ctx context.Context) (watch context.Context, end func()) {
	watch, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		cancel(errStopping)
	}
	c.watches[&cancel] = struct{}{}
	return watch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watches, &cancel)
		cancel(nil)
	}
}

func (c *Configuration) find(op Op, name string) (configuration.Store, error) {
	var stores map[string]configuration.Store
	if c != nil {
		stores = c.stores
	}
	return find(stores, ConfigurationName, op, name)
}

// app returns the id of the application that is meant.
func (c *Configuration) app(id string) string {
	if blank(id) {
		return c.appID
	}
	return id
}

// complete fills in what is left out of a scope.
func (c *Configuration) complete(s configuration.Store, scope configuration.Scope) configuration.Scope {
	scope.AppID = c.app(scope.AppID)
	scope.Group, scope.Label = named(scope.Group), named(scope.Label)
	return scope.Or(s.Defaults())
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// named returns a group or label as it is, "" when it is blank.
func named(text string) string {
	if blank(text) {
		return ""
	}
	return text
}

// Get returns the items that there are under the keys, all in scope when there
// are no keys.
func (c *Configuration) Get(ctx context.Context, store string, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	s, err := c.find(ConfigurationGet, store)
	if err != nil {
		return nil, err
	}
	items, err := s.Get(ctx, c.complete(s, scope), keys)
	if err != nil {
		return nil, configurationError(ctx, ConfigurationGet, store, err)
	}
	return items, nil
}

// Save stores items of an application. items is changed.
func (c *Configuration) Save(ctx context.Context, store, appID string, items []configuration.Item, metadata map[string]string) error {
	s, err := c.find(ConfigurationSave, store)
	if err != nil {
		return err
	}
	group, label := s.Defaults()
	for i := range items {
		items[i].Group, items[i].Label = named(items[i].Group), named(items[i].Label)
		items[i] = items[i].Or(group, label)
		if err := items[i].Check(); err != nil {
			return configurationError(ctx, ConfigurationSave, store, err)
		}
	}
	if len(items) == 0 {
		return nil
	}
	if err := s.Save(ctx, c.app(appID), items, metadata); err != nil {
		return configurationError(ctx, ConfigurationSave, store, err)
	}
	return nil
}

// Delete removes items. That there is none is no error.
func (c *Configuration) Delete(ctx context.Context, store string, scope configuration.Scope, keys []string) error {
	s, err := c.find(ConfigurationDelete, store)
	if err != nil {
		return err
	}
	scope = c.complete(s, scope)
	if err = scope.CheckDelete(keys); err == nil && len(keys) > 0 {
		err = s.Delete(ctx, scope, keys)
	}
	if err != nil {
		return configurationError(ctx, ConfigurationDelete, store, err)
	}
	return nil
}

// Watch tells of the items that there are, unless the scope's metadata say no
// (InitialKey), and then of what becomes of them, until ctx ends, when it returns
// nil. Each call of on gets the application's id with it, and may take its time:
// changes wait for it, of each item the latest. An error of on ends the watch and
// is returned as it is.
//
// stands, when not nil, is called once: from then on no change is missed.
func (c *Configuration) Watch(
	ctx context.Context, store string, scope configuration.Scope, keys []string,
	stands func(), on func(appID string, items []configuration.Item) error,
) error {
	s, err := c.find(ConfigurationWatch, store)
	if err != nil {
		return err
	}
	scope = c.complete(s, scope)
	changesOnly := strings.EqualFold(scope.Metadata[InitialKey], "false")
	var failed error
	watch, end := c.begin(ctx)
	defer end()
	err = s.Watch(watch, scope, keys, func(change configuration.Change) error {
		if len(change.Items) > 0 && !(change.Initial && changesOnly) {
			failed = on(scope.AppID, change.Items)
		}
		if change.Initial && stands != nil {
			stands()
		}
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return nil
	case errors.Is(context.Cause(watch), errStopping):
		return &Error{Kind: Unavailable, Capability: ConfigurationName, Op: ConfigurationWatch, Component: store, Msg: errStopping.Error()}
	case err == nil:
		return nil
	}
	return configurationError(ctx, ConfigurationWatch, store, err)
}

// configurationError turns what a store returned into an Error.
func configurationError(ctx context.Context, op Op, store string, err error) *Error {
	kind := Unknown
	switch {
	case errors.Is(err, configuration.ErrInvalid):
		kind = InvalidArgument
	case errors.Is(err, configuration.ErrNotSupported):
		kind = NotSupported
	default:
		if k, ok := lateKind(ctx, err); ok {
			kind = k
			break
		}
		switch {
		case errors.Is(err, configuration.ErrDenied):
			kind = PermissionDenied
		case errors.Is(err, configuration.ErrUnavailable), errors.Is(err, configuration.ErrClosed):
			kind = Unavailable
		}
	}
	return &Error{Kind: kind, Capability: ConfigurationName, Op: op, Component: store, Err: err}
}
