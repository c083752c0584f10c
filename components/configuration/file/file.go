package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type and OtherType are the names of this store in a configuration.
const (
	Type      = "local.file"
	OtherType = "file"
)

// The group and the label of items that name none.
const (
	defaultGroup = "default"
	defaultLabel = "default"
)

// Metadata is the store's configuration.
type Metadata struct {
	// Path is the file (.yaml, .yml or .json) or the folder. A relative path is
	// taken from the working folder.
	Path string `json:"path"`
	// Create says that a file that is not there is made by the first write, and
	// is no error before.
	Create bool `json:"create"`
	// Interval is how often the store looks for changes while somebody watches: a
	// Go duration, or a bare number of seconds.
	Interval time.Duration `json:"interval" unit:"s" min:"10ms"`
}

// Defaults returns the settings that count where none are given.
func Defaults() Metadata { return Metadata{Interval: time.Second} }

// source is where the items are.
type source interface {
	// stamp says in a few words how the files look, without reading them, and
	// when the latest of them was changed.
	stamp() (text string, changed time.Time, err error)
	// read returns all items.
	read() (map[configuration.ID]configuration.Item, error)
	// write stores all items. changed are those that differ from what read
	// returned; what is not in all is gone.
	write(all map[configuration.ID]configuration.Item, changed []configuration.ID) error
	// check says what cannot be stored.
	check(id configuration.ID, item configuration.Item) error
}

// Store reads and writes files. Use New. It implements configuration.Store and
// components.Checker.
type Store struct {
	path     string
	interval time.Duration
	log      *slog.Logger
	board    *configuration.Board
	feeds    *configuration.Feeds[struct{}]

	mu     sync.Mutex
	closed bool
	source source
	stamp  string // of what is on the board; "" when it may be old
	items  map[configuration.ID]configuration.Item
}

// New opens the store. It fails when there is nothing at the path that can be
// read, except that a file may be missing if the settings say so.
func New(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := Defaults()
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if m.Path == "" {
		return nil, decode.Problems{{Path: cfg.SettingsPath() + ".path", Message: "is missing", Remedy: "the file (.yaml or .json) or the folder with the items"}}
	}
	s := &Store{path: m.Path, interval: m.Interval, log: env.Log, board: configuration.NewBoard()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	switch info, err := os.Stat(m.Path); {
	case err == nil && info.IsDir():
		s.source = folder{path: m.Path, appID: env.AppID}
	case err == nil || m.Create && errors.Is(err, fs.ErrNotExist):
		s.source = &document{path: m.Path, appID: env.AppID, create: m.Create}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file or folder %s: make it, or set `create: true` to let the first write make a file", m.Path)
	default:
		return nil, err
	}
	if err := s.refresh(); err != nil {
		return nil, err
	}
	s.feeds = configuration.NewFeeds(ctx, s.follow)
	return s, nil
}

// settled is how old a change must be before the look of a file tells it from
// another change: file systems count in steps.
const settled = 100 * time.Millisecond

// refresh brings what is in the files onto the board, if they changed.
func (s *Store) refresh() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

// load does that. The caller holds the lock.
func (s *Store) load() error {
	if s.closed {
		return configuration.ErrClosed
	}
	stamp, changed, err := s.source.stamp()
	if err != nil {
		return err
	}
	if stamp == s.stamp {
		return nil
	}
	items, err := s.source.read()
	if err != nil {
		return err
	}
	s.show(items)
	if s.stamp = stamp; time.Since(changed) < settled {
		s.stamp = ""
	}
	return nil
}

// show puts all items there are onto the board. The caller holds the lock.
func (s *Store) show(items map[configuration.ID]configuration.Item) {
	apps := make(map[string][]configuration.Item)
	for id := range s.items {
		apps[id.AppID] = nil
	}
	for id, item := range items {
		apps[id.AppID] = append(apps[id.AppID], item)
	}
	for app, items := range apps {
		configuration.Sort(items)
		all := configuration.Scope{AppID: app, Group: configuration.Any, Label: configuration.Any}
		_ = s.board.Replace(configuration.Select(all, nil), items) // it fails when it was closed only
	}
	s.items = items
}

// follow looks for changes until ctx ends.
func (s *Store) follow(ctx context.Context, _ struct{}, ready func()) error {
	if err := s.refresh(); err != nil {
		return err
	}
	ready()
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	bad := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := s.refresh()
		if err != nil && !bad {
			s.log.WarnContext(ctx, "configuration cannot be read; what was read before stays in force", "path", s.path, "error", err)
		}
		if err == nil && bad {
			s.log.InfoContext(ctx, "configuration can be read again", "path", s.path)
		}
		bad = err != nil
	}
}

// Check implements components.Checker: the files can be read.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.refresh()
}

// Get implements configuration.Store.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.refresh(); err != nil {
		return nil, err
	}
	return s.board.Get(configuration.Select(scope.Or(defaultGroup, defaultLabel), keys))
}

// Save implements configuration.Store. In one file it is all items or none.
func (s *Store) Save(ctx context.Context, appID string, items []configuration.Item, _ map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	changes := make(map[configuration.ID]configuration.Item, len(items))
	for _, item := range items {
		if err := item.Check(); err != nil {
			return err
		}
		item = item.Or(defaultGroup, defaultLabel).Clone()
		item.Metadata, item.Deleted = nil, false
		id := configuration.ID{AppID: appID, Group: item.Group, Label: item.Label, Key: item.Key}
		if err := s.source.check(id, item); err != nil {
			return err
		}
		changes[id] = item
	}
	return s.change(changes)
}

// Delete implements configuration.Store. In one file it is all items or none.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := scope.CheckDelete(keys); err != nil {
		return err
	}
	scope = scope.Or(defaultGroup, defaultLabel)
	changes := make(map[configuration.ID]configuration.Item, len(keys))
	for _, key := range keys {
		changes[configuration.ID{AppID: scope.AppID, Group: scope.Group, Label: scope.Label, Key: key}] = configuration.Item{Deleted: true}
	}
	return s.change(changes)
}

// change writes items.
func (s *Store) change(changes map[configuration.ID]configuration.Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = "" // look afresh, before and after
	if err := s.load(); err != nil {
		return err
	}
	s.stamp = ""
	all := make(map[configuration.ID]configuration.Item, len(s.items)+len(changes))
	for id, item := range s.items {
		all[id] = item
	}
	changed := make([]configuration.ID, 0, len(changes))
	for id, item := range changes {
		switch _, there := all[id]; {
		case !item.Deleted:
			all[id] = item
		case there:
			delete(all, id)
		default:
			continue
		}
		changed = append(changed, id)
	}
	if len(changed) == 0 {
		return nil
	}
	if err := s.source.write(all, changed); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	s.show(all)
	return nil
}

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	release, err := s.feeds.Use(ctx, struct{}{})
	if err != nil {
		return err
	}
	defer release()
	return s.board.Watch(ctx, configuration.Select(scope.Or(defaultGroup, defaultLabel), keys), on)
}

// Defaults implements configuration.Store.
func (s *Store) Defaults() (group, label string) { return defaultGroup, defaultLabel }

// Close implements configuration.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.board.Close()
	s.feeds.Close()
	return nil
}
