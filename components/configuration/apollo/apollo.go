package apollo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Store keeps items in Apollo. Use New. It implements configuration.Store and
// components.Checker.
type Store struct {
	*settings
	client  *client
	backups *backups // nil: none are kept
	log     *slog.Logger
	board   *configuration.Board
	feeds   *configuration.Feeds[string] // by namespace
	closed  atomic.Bool
	// writing is held while something is written: Apollo releases whatever there
	// is in a namespace, and tags are in one of their own.
	writing chan struct{}
}

// New reads the store's namespaces once. It fails when Apollo cannot be reached
// and there is no backup of them, or when Apollo does not accept the secret.
func New(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
	settings, err := check(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{settings: settings, client: newClient(settings), log: env.Log, board: configuration.NewBoard(), writing: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if settings.Backup {
		dir := settings.BackupPath
		if dir == "" {
			dir = filepath.Join(env.DataDir, "apollo")
		}
		s.backups = &backups{dir: dir, settings: settings, log: s.log}
	}
	s.feeds = configuration.NewFeeds(ctx, s.follow)
	for _, namespace := range append(slices.Clone(settings.Namespaces), tagsNamespace) {
		if _, err := s.read(ctx, namespace); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
		}
	}
	return s, nil
}

// Check implements components.Checker: Apollo answers.
func (s *Store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return configuration.ErrClosed
	}
	_, err := s.client.fetch(ctx, s.Namespaces[0], "", "")
	return configuration.Silence(ctx, err, "Apollo at "+strings.Join(s.services, ","))
}

// read returns the texts of a namespace, from the backup when Apollo cannot be
// reached.
func (s *Store) read(ctx context.Context, namespace string) (map[string]string, error) {
	if s.closed.Load() {
		return nil, configuration.ErrClosed
	}
	got, err := s.client.fetch(ctx, namespace, "", "")
	if s.closed.Load() {
		return nil, configuration.ErrClosed
	}
	if errors.Is(err, configuration.ErrUnavailable) && s.backups != nil {
		if kept, ok := s.backups.load(namespace); ok {
			s.log.WarnContext(ctx, "Apollo cannot be reached; what was read before is used", "namespace", namespace, "error", err)
			return texts(kept), nil
		}
	}
	if err != nil {
		return nil, err
	}
	if s.backups != nil {
		s.backups.keep(ctx, got)
	}
	return texts(got.Configurations), nil
}

// texts brings the values of a namespace into texts.
func texts(values map[string]any) map[string]string {
	out := make(map[string]string, len(values))
	for key, value := range values {
		switch v := value.(type) {
		case string:
			out[key] = v
		case nil:
			out[key] = ""
		default:
			text, err := json.Marshal(v)
			if err != nil { // no value that came from JSON or YAML
				text = fmt.Append(nil, v)
			}
			out[key] = string(text)
		}
	}
	return out
}

// withLabel is the key of an item in its namespace.
func withLabel(key, label string) string {
	if label == "" {
		return key
	}
	return key + separator + label
}

// tagKey is the key of an item's tags.
func tagKey(group, keyWithLabel string) string { return group + separator + keyWithLabel }

// items returns the items of a namespace.
func items(namespace string, texts, tags map[string]string) []configuration.Item {
	found := make([]configuration.Item, 0, len(texts))
	for name, content := range texts {
		item := configuration.Item{Key: name, Content: content, Group: namespace}
		if i := strings.LastIndex(name, separator); i > 0 {
			item.Key, item.Label = name[:i], name[i+len(separator):]
		}
		if text, ok := tags[tagKey(namespace, name)]; ok {
			// What is no object of texts was not written as tags.
			var own map[string]string
			if json.Unmarshal([]byte(text), &own) == nil && len(own) > 0 {
				item.Tags = own
			}
		}
		found = append(found, item)
	}
	return found
}

// own makes a scope that of the store's application.
func (s *Store) own(scope configuration.Scope) configuration.Scope {
	scope.AppID = s.AppID
	return scope.Or(defaultGroup, "")
}

// groups returns the namespaces that a group stands for.
func (s *Store) groups(group string) []string {
	if group == configuration.Any {
		return s.Namespaces
	}
	return []string{group}
}

// Get implements configuration.Store.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	scope = s.own(scope)
	sel := configuration.Select(scope, keys)
	tags, err := s.read(ctx, tagsNamespace)
	if err != nil {
		return nil, err
	}
	found := make([]configuration.Item, 0)
	for _, namespace := range s.groups(scope.Group) {
		texts, err := s.read(ctx, namespace)
		if err != nil {
			return nil, err
		}
		for _, item := range items(namespace, texts, tags) {
			if sel.Has(configuration.ID{AppID: s.AppID, Group: item.Group, Label: item.Label, Key: item.Key}) {
				found = append(found, item)
			}
		}
	}
	configuration.Sort(found)
	return found, nil
}

// edit is what is to become of some keys of a namespace: nil is removed.
type edit map[string]*string

// Save implements configuration.Store. Tags are released first, then the items,
// a namespace at a time: what is before the first failure stays.
func (s *Store) Save(ctx context.Context, _ string, items []configuration.Item, _ map[string]string) error {
	edits, tags := make(map[string]edit), make(edit)
	for _, item := range items {
		if err := item.Check(); err != nil {
			return err
		}
		item = item.Or(defaultGroup, "")
		if strings.Contains(item.Label, separator) {
			return fmt.Errorf("%w: the label %q has %q in it, which stands between key and label in Apollo", configuration.ErrInvalid, item.Label, separator)
		}
		if item.Label == "" && strings.Contains(item.Key, separator) {
			return fmt.Errorf("%w: the key %q has %q in it, behind which Apollo's users have the label", configuration.ErrInvalid, item.Key, separator)
		}
		name := withLabel(item.Key, item.Label)
		if edits[item.Group] == nil {
			edits[item.Group] = make(edit)
		}
		edits[item.Group][name] = &item.Content
		tags[tagKey(item.Group, name)] = nil
		if len(item.Tags) > 0 {
			text, err := json.Marshal(item.Tags)
			if err != nil {
				return err
			}
			value := string(text)
			tags[tagKey(item.Group, name)] = &value
		}
	}
	return s.write(ctx, edits, tags)
}

// Delete implements configuration.Store.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := scope.CheckDelete(keys); err != nil {
		return err
	}
	scope = s.own(scope)
	gone, tags := make(edit), make(edit)
	for _, key := range keys {
		name := withLabel(key, scope.Label)
		gone[name], tags[tagKey(scope.Group, name)] = nil, nil
	}
	return s.write(ctx, map[string]edit{scope.Group: gone}, tags)
}

// write makes edits, those of tags first, and releases what was changed.
func (s *Store) write(ctx context.Context, edits map[string]edit, tags edit) error {
	if s.closed.Load() {
		return configuration.ErrClosed
	}
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.apply(ctx, tagsNamespace, tags)
	for _, namespace := range slices.Sorted(maps.Keys(edits)) {
		if err == nil {
			err = s.apply(ctx, namespace, edits[namespace])
		}
	}
	if err != nil && s.closed.Load() {
		return configuration.ErrClosed
	}
	return err
}

// apply makes the edits of one namespace that change something, and releases it.
func (s *Store) apply(ctx context.Context, namespace string, e edit) error {
	if len(e) == 0 {
		return nil
	}
	got, err := s.client.fetch(ctx, namespace, "", "")
	if err != nil {
		return err
	}
	there := texts(got.Configurations)
	changed := false
	for _, key := range slices.Sorted(maps.Keys(e)) {
		value, released := there[key]
		did := true
		switch want := e[key]; {
		case want == nil && !released && namespace == tagsNamespace, want != nil && released && value == *want:
			continue
		case want == nil: // it may be there without having been released
			did, err = s.client.remove(ctx, namespace, key)
		default:
			err = s.put(ctx, namespace, key, *want)
		}
		if err != nil {
			return err
		}
		changed = changed || did
	}
	if !changed {
		return nil
	}
	return s.client.release(ctx, namespace)
}

// put writes an item, and makes the namespace of the tags if there is none yet.
func (s *Store) put(ctx context.Context, namespace, key, value string) error {
	err := s.client.put(ctx, namespace, key, value)
	if !errors.Is(err, errNotFound) {
		return err
	}
	if namespace != tagsNamespace {
		return fmt.Errorf("%w: there is no namespace %q of application %q in Apollo: create it there, or use another group: %w", configuration.ErrInvalid, namespace, s.AppID, err)
	}
	if err := s.client.createNamespace(ctx, namespace); err != nil {
		return fmt.Errorf("cannot create the namespace %s for tags: %w", namespace, err)
	}
	return s.client.put(ctx, namespace, key, value)
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
