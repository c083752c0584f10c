package nacos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/atomicfile"
)

// The keys of a request's metadata that ask for a part of a list.
const (
	pageNumberKey = "PageNo"
	pageSizeKey   = "PageSize"
)

// Store keeps items in Nacos. Use New. It implements configuration.Store and
// components.Checker.
type Store struct {
	*settings
	client *client
	log    *slog.Logger
	board  *configuration.Board
	feeds  *configuration.Feeds[string] // by group and keys, see feedOf
	closed atomic.Bool
}

// New finds Nacos and logs in. It fails when that does not answer or does not
// accept the credentials.
func New(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
	settings, err := check(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{settings: settings, client: newClient(settings), log: logger(env.Log, settings.LogLevel), board: configuration.NewBoard()}
	s.feeds = configuration.NewFeeds(ctx, s.follow)
	if err = s.client.findServers(ctx); err == nil {
		err = s.Check(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
	}
	return s, nil
}

// logger returns a log that takes records of that level and above.
func logger(log *slog.Logger, level string) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	var least slog.Level
	if level == "" || least.UnmarshalText([]byte(level)) != nil {
		return log
	}
	return slog.New(filter{log.Handler(), least})
}

// filter passes on records of a level and above.
type filter struct {
	slog.Handler
	least slog.Level
}

func (f filter) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= f.least && f.Handler.Enabled(ctx, level)
}

func (f filter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return filter{f.Handler.WithAttrs(attrs), f.least}
}

func (f filter) WithGroup(name string) slog.Handler {
	return filter{f.Handler.WithGroup(name), f.least}
}

// Check implements components.Checker: Nacos answers a read.
func (s *Store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return configuration.ErrClosed
	}
	_, _, err := s.client.get(ctx, defaultGroup, "ottavo-health")
	return s.ended(configuration.Silence(ctx, err, "Nacos at "+strings.Join(s.servers, ",")))
}

// ended returns err, or ErrClosed when the store was closed meanwhile.
func (s *Store) ended(err error) error {
	if err != nil && s.closed.Load() {
		return configuration.ErrClosed
	}
	return err
}

// own checks that a scope asks for nothing that Nacos does not have, and
// completes it.
func own(scope configuration.Scope) (configuration.Scope, error) {
	if scope.Label != "" && scope.Label != configuration.Any {
		return scope, fmt.Errorf("%w: Nacos has no labels: leave %q out", configuration.ErrNotSupported, scope.Label)
	}
	scope.AppID, scope.Label = "", ""
	return scope.Or(defaultGroup, ""), nil
}

// Get implements configuration.Store. A read of all keys may ask for a part by
// PageNo and PageSize in its metadata.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	if s.closed.Load() {
		return nil, configuration.ErrClosed
	}
	scope, err := own(scope)
	if err != nil {
		return nil, err
	}
	var items []configuration.Item
	if scope.Metadata[pageNumberKey] != "" && len(configuration.Keys(keys)) == 0 {
		items, err = s.page(ctx, scope)
	} else {
		items, err = s.read(ctx, scope, configuration.Keys(keys))
	}
	if err != nil {
		return nil, s.ended(err)
	}
	configuration.Sort(items)
	return items, nil
}

// groupOf is the group as Nacos' lists have it: "" for all.
func groupOf(group string) string {
	if group == configuration.Any {
		return ""
	}
	return group
}

// page returns the part of a list that metadata ask for.
func (s *Store) page(ctx context.Context, scope configuration.Scope) ([]configuration.Item, error) {
	size := pageSize
	number, err := strconv.Atoi(scope.Metadata[pageNumberKey])
	if text := scope.Metadata[pageSizeKey]; err == nil && text != "" {
		size, err = strconv.Atoi(text)
	}
	if err != nil || number < 1 || size < 1 || size > 500 {
		return nil, fmt.Errorf("%w: metadata %s %q, %s %q: must be numbers, the first from 1, the second up to 500", configuration.ErrInvalid,
			pageNumberKey, scope.Metadata[pageNumberKey], pageSizeKey, scope.Metadata[pageSizeKey])
	}
	items, _, err := s.client.listPage(ctx, groupOf(scope.Group), number, size)
	return items, err
}

// read returns the items under the keys, all in the group when there are none.
func (s *Store) read(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	items := make([]configuration.Item, 0, len(keys))
	if len(keys) > 0 && scope.Group != configuration.Any {
		for _, key := range keys {
			content, there, err := s.content(ctx, scope.Group, key)
			if err != nil {
				return nil, err
			}
			if there {
				items = append(items, configuration.Item{Key: key, Group: scope.Group, Content: content})
			}
		}
		return items, nil
	}
	all, err := s.client.list(ctx, groupOf(scope.Group))
	if err != nil {
		return nil, err
	}
	sel := configuration.Select(configuration.Scope{Group: scope.Group}, keys)
	return append(items, slices.DeleteFunc(all, func(i configuration.Item) bool {
		return !sel.Has(configuration.ID{Group: i.Group, Key: i.Key})
	})...), nil
}

// content returns one content, as it was kept when Nacos cannot be reached.
func (s *Store) content(ctx context.Context, group, key string) (content string, there bool, err error) {
	content, there, err = s.client.get(ctx, group, key)
	if s.CacheDir == "" {
		return content, there, err
	}
	path := filepath.Join(s.CacheDir, url.PathEscape(s.NamespaceID)+"@@"+url.PathEscape(group)+"@@"+url.PathEscape(key))
	switch {
	case errors.Is(err, configuration.ErrUnavailable):
		if kept, no := os.ReadFile(path); no == nil {
			s.log.WarnContext(ctx, "Nacos cannot be reached; what was read before is used", "group", group, "key", key, "error", err)
			return string(kept), true, nil
		}
		return "", false, err
	case err != nil:
		return "", false, err
	case there:
		err = s.keep(path, content)
	default:
		if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		s.log.WarnContext(ctx, "cache_dir cannot be written", "error", err)
	}
	return content, there, nil
}

func (s *Store) keep(path, content string) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == content {
		return nil
	}
	if err := os.MkdirAll(s.CacheDir, 0o750); err != nil {
		return err
	}
	return atomicfile.Write(path, []byte(content), 0o600)
}

// Save implements configuration.Store, an item at a time.
func (s *Store) Save(ctx context.Context, appID string, items []configuration.Item, _ map[string]string) error {
	for _, item := range items {
		if err := checkItem(item); err != nil {
			return err
		}
	}
	for _, item := range items {
		if s.closed.Load() {
			return configuration.ErrClosed
		}
		item = item.Or(defaultGroup, "")
		if err := s.client.put(ctx, appID, item.Group, item.Key, item.Content); err != nil {
			return s.ended(fmt.Errorf("cannot save %q in group %q: %w", item.Key, item.Group, err))
		}
	}
	return nil
}

func checkItem(item configuration.Item) error {
	if err := item.Check(); err != nil {
		return err
	}
	switch {
	case item.Label != "":
		return fmt.Errorf("%w: Nacos has no labels: leave %q of %q out", configuration.ErrNotSupported, item.Label, item.Key)
	case len(item.Tags) > 0:
		return fmt.Errorf("%w: Nacos has no tags with values: leave those of %q out", configuration.ErrNotSupported, item.Key)
	case item.Content == "":
		return fmt.Errorf("%w: item %q has no content, which Nacos does not have: delete it instead", configuration.ErrInvalid, item.Key)
	case strings.ContainsAny(item.Key+item.Group, wordMark+lineMark):
		return fmt.Errorf("%w: item %q in group %q has control characters in its name", configuration.ErrInvalid, item.Key, item.Group)
	}
	return nil
}

// Delete implements configuration.Store, an item at a time.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := scope.CheckDelete(keys); err != nil {
		return err
	}
	scope, err := own(scope)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if s.closed.Load() {
			return configuration.ErrClosed
		}
		if err := s.client.remove(ctx, scope.Group, key); err != nil {
			return s.ended(fmt.Errorf("cannot delete %q in group %q: %w", key, scope.Group, err))
		}
	}
	return nil
}

// Defaults implements configuration.Store.
func (s *Store) Defaults() (group, label string) { return defaultGroup, "" }

// Close implements configuration.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.board.Close()
	s.feeds.Close()
	s.client.close()
	return nil
}
