package memory

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Type is the name of this store in a configuration.
const Type = "in-memory"

// The group and the label of items that name none.
const (
	defaultGroup = "default"
	defaultLabel = "default"
)

// Metadata is the store's configuration: it has no settings.
type Metadata struct{}

// Store keeps items in this process. Use New.
type Store struct {
	board *configuration.Board
}

// New makes an empty store. It fails only when ctx has ended or the metadata
// cannot be read.
func New(ctx context.Context, _ components.Env, cfg components.Config) (configuration.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	return &Store{board: configuration.NewBoard()}, nil
}

// Get implements configuration.Store.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.board.Get(configuration.Select(scope.Or(defaultGroup, defaultLabel), keys))
}

// Save implements configuration.Store: all items or none.
func (s *Store) Save(ctx context.Context, appID string, items []configuration.Item, _ map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	saved := make([]configuration.Item, len(items))
	for i, item := range items {
		if err := item.Check(); err != nil {
			return err
		}
		saved[i] = item.Or(defaultGroup, defaultLabel)
		saved[i].Deleted = false
	}
	return s.board.Put(appID, saved...)
}

// Delete implements configuration.Store.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := scope.CheckDelete(keys); err != nil {
		return err
	}
	scope = scope.Or(defaultGroup, defaultLabel)
	gone := make([]configuration.Item, len(keys))
	for i, key := range keys {
		gone[i] = configuration.Item{Key: key, Group: scope.Group, Label: scope.Label, Deleted: true}
	}
	return s.board.Put(scope.AppID, gone...)
}

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	return s.board.Watch(ctx, configuration.Select(scope.Or(defaultGroup, defaultLabel), keys), on)
}

// Defaults implements configuration.Store.
func (s *Store) Defaults() (group, label string) { return defaultGroup, defaultLabel }

// Close implements configuration.Store. The items are gone.
func (s *Store) Close() error {
	s.board.Close()
	return nil
}
