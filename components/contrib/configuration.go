package contrib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	backends "github.com/dapr/components-contrib/configuration"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// ConfigurationTraits say how a configuration store of contrib's is used.
type ConfigurationTraits struct {
	// OneSubscription says that all watchers share one subscription, of all keys,
	// since each holds a connection, or may not be restricted to keys.
	OneSubscription bool
}

const (
	// configurationTimeout bounds a call of a backend.
	configurationTimeout = 10 * time.Second
	// healthy is how long a read that went well counts as an answer to Check.
	healthy = 3 * time.Second
	// rereadTime is how often what is watched is read although nobody said that it
	// changed, as contrib's backends lose what happens while a connection is down.
	rereadTime = 10 * time.Second
	// unsubscribeTime is what a backend's goroutines get to notice that a
	// subscription has ended, before the connections are closed under them.
	unsubscribeTime = 50 * time.Millisecond
)

// soon are the first pauses before reading again: subscriptions begin some time
// after the backend says that they have.
var soon = [...]time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// Configuration makes a constructor of configuration.Store of one of contrib's.
// These stores have keys with contents and versions only: no applications (what a
// request says is not looked at), no groups, labels and tags, and no writing.
//
// What contrib's subscriptions tell is taken as a hint to read again; what they
// lose is found by reading from time to time.
func Configuration(make func(logger.Logger) backends.Store, traits ConfigurationTraits) components.Factory[configuration.Store] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
		log := env.Log
		if log == nil {
			log = slog.New(slog.DiscardHandler)
		}
		backend := make(NewLogger(slog.New(demoted{log.Handler()})))
		WarnUnknown(cfg, backend)
		timeout, err := configuration.Timeout(cfg, configurationTimeout)
		if err != nil {
			return nil, err
		}
		base := Base(cfg)
		err = run(ctx, func(ctx context.Context) error {
			return backend.Init(ctx, backends.Metadata{Base: base})
		})
		if err != nil {
			return nil, errors.Join(hideSecrets(err, base.Properties), closeFailed(backend))
		}
		s := &configurationStore{
			backend: backend, properties: base.Properties, timeout: timeout, one: traits.OneSubscription, log: log, board: configuration.NewBoard(),
		}
		s.good.Store(time.Now().UnixNano())
		s.feeds = configuration.NewFeeds(ctx, s.follow)
		return s, nil
	}
}

// demoted makes warnings of a backend notes for debugging: they warn of every key
// that is not there.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return d.Handler.Enabled(ctx, demote(level))
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = demote(r.Level)
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}
func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

func demote(level slog.Level) slog.Level {
	if level == slog.LevelWarn {
		return slog.LevelDebug
	}
	return level
}

// configurationStore is one of contrib's configuration stores.
type configurationStore struct {
	backend    backends.Store
	properties map[string]string
	timeout    time.Duration
	one        bool
	log        *slog.Logger
	board      *configuration.Board
	feeds      *configuration.Feeds[string] // by keys, see feedOf
	calls      gate
	good       atomic.Int64 // when a read went well last, Unix nanoseconds
	watched    atomic.Bool  // something was ever subscribed

	closing  sync.Once
	closeErr error
}

// read gets items of the backend, in its own terms.
func (s *configurationStore) read(ctx context.Context, keys []string, metadata map[string]string) (map[string]*backends.Item, error) {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := await(bounded, func(ctx context.Context) (*backends.GetResponse, error) {
		if !s.calls.enter() {
			return nil, configuration.ErrClosed
		}
		defer s.calls.leave()
		return s.backend.Get(ctx, &backends.GetRequest{Keys: keys, Metadata: metadata})
	})
	switch {
	case err == nil:
		s.good.Store(time.Now().UnixNano())
		return resp.Items, nil
	case errors.Is(err, configuration.ErrClosed):
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case bounded.Err() != nil:
		return nil, components.Late(fmt.Errorf("%w: no answer within %s", configuration.ErrUnavailable, s.timeout))
	}
	return nil, fmt.Errorf("%w: %w", configuration.ErrUnavailable, hideSecrets(err, s.properties))
}

// item brings one of contrib's items into ours; one that is not there is Deleted.
func item(key string, i *backends.Item) configuration.Item {
	out := configuration.Item{Key: key, Deleted: i == nil || i.Value == "" && i.Version == "" && len(i.Metadata) == 0}
	if out.Deleted {
		return out
	}
	out.Content = i.Value
	if i.Version != "" || len(i.Metadata) > 0 {
		if out.Metadata = maps.Clone(i.Metadata); out.Metadata == nil {
			out.Metadata = make(map[string]string, 1)
		}
		if i.Version != "" {
			out.Metadata["version"] = i.Version
		}
	}
	return out
}

// plain checks that a scope asks for nothing that these stores do not have, and
// returns the one that there is.
func plain(scope configuration.Scope) (configuration.Scope, error) {
	for _, part := range []string{scope.Group, scope.Label} {
		if part != "" && part != configuration.Any {
			return scope, fmt.Errorf("%w: it has no groups and labels: leave %q out", configuration.ErrNotSupported, part)
		}
	}
	return configuration.Scope{Metadata: scope.Metadata}, nil
}

// Get implements configuration.Store.
func (s *configurationStore) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	scope, err := plain(scope)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := s.read(ctx, configuration.Keys(keys), scope.Metadata)
	if err != nil {
		return nil, err
	}
	items := make([]configuration.Item, 0, len(found))
	for key, i := range found {
		if it := item(key, i); !it.Deleted {
			items = append(items, it)
		}
	}
	configuration.Sort(items)
	return items, nil
}

// Save implements configuration.Store.
func (s *configurationStore) Save(context.Context, string, []configuration.Item, map[string]string) error {
	return readOnly()
}

// Delete implements configuration.Store.
func (s *configurationStore) Delete(context.Context, configuration.Scope, []string) error {
	return readOnly()
}

func readOnly() error {
	return fmt.Errorf("%w: it is written at its server: use that, or a store of another type", configuration.ErrNotSupported)
}

// Defaults implements configuration.Store.
func (*configurationStore) Defaults() (group, label string) { return "", "" }

// Check implements components.Checker: a read of a key went well lately.
func (s *configurationStore) Check(ctx context.Context) error {
	if time.Since(time.Unix(0, s.good.Load())) < healthy {
		return nil
	}
	_, err := s.read(ctx, []string{"ottavo-health"}, nil)
	return configuration.Silence(ctx, err, "its server")
}

// feedOf is the name of the feed that follows these keys.
func (s *configurationStore) feedOf(keys []string) string {
	if s.one {
		return ""
	}
	return strings.Join(keys, "\x00")
}

// Watch implements configuration.Store.
func (s *configurationStore) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	scope, err := plain(scope)
	if err != nil {
		return err
	}
	release, err := s.feeds.Use(ctx, s.feedOf(configuration.Keys(keys)))
	if err != nil {
		return err
	}
	defer release()
	return s.board.Watch(ctx, configuration.Select(scope, keys), on)
}

// hints are the keys that a subscription told of and that were not read since.
type hints struct {
	mu   sync.Mutex
	keys map[string]bool
	some chan struct{} // capacity 1
}

func (h *hints) add(items map[string]*backends.Item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key := range items {
		h.keys[key] = true
	}
	select {
	case h.some <- struct{}{}:
	default:
	}
}

func (h *hints) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := slices.Sorted(maps.Keys(h.keys))
	clear(h.keys)
	return keys
}

// follow brings the items under some keys onto the board until ctx ends.
func (s *configurationStore) follow(ctx context.Context, feed string, ready func()) error {
	var keys []string
	if feed != "" {
		keys = strings.Split(feed, "\x00")
	}
	h := &hints{keys: make(map[string]bool), some: make(chan struct{}, 1)}
	unsubscribe, err := s.subscribe(ctx, keys, h)
	if err != nil {
		return err
	}
	defer func() { unsubscribe() }()
	if err := s.reread(ctx, keys); err != nil {
		return err
	}
	ready()
	timer := time.NewTimer(soon[0])
	defer timer.Stop()
	failed := false
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-h.some:
			err = s.refresh(ctx, h.take())
		case <-timer.C:
			if err = s.reread(ctx, keys); err == nil && failed {
				// The subscription may have ended with the connection.
				unsubscribe()
				unsubscribe, err = s.subscribe(ctx, keys, h)
			}
			timer.Reset(pauseOf(n, err))
		}
		if err != nil && !failed && ctx.Err() == nil {
			s.log.WarnContext(ctx, "configuration cannot be read; what was read before stays in force", "error", err)
			timer.Reset(pauseOf(0, err))
		}
		failed = err != nil
	}
}

// pauseOf is how long to wait before the n-th time of reading again.
func pauseOf(n int, err error) time.Duration {
	switch {
	case err != nil:
		return time.Second
	case n < len(soon):
		return soon[n]
	}
	return rereadTime
}

// reread brings all items under the keys onto the board.
func (s *configurationStore) reread(ctx context.Context, keys []string) error {
	found, err := s.read(ctx, keys, nil)
	if err != nil {
		return err
	}
	items := make([]configuration.Item, 0, len(found))
	for key, i := range found {
		if it := item(key, i); !it.Deleted {
			items = append(items, it)
		}
	}
	return s.board.Replace(configuration.Select(configuration.Scope{}, keys), items)
}

// refresh brings the items under these keys onto the board, as they are now.
func (s *configurationStore) refresh(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.reread(ctx, keys)
}

// subscribe lets the backend tell of changes; unsubscribe ends that.
func (s *configurationStore) subscribe(ctx context.Context, keys []string, h *hints) (unsubscribe func(), err error) {
	if !s.calls.enter() {
		return func() {}, configuration.ErrClosed
	}
	defer s.calls.leave()
	s.watched.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	bounded, end := context.WithTimeout(ctx, s.timeout)
	defer end()
	id, err := await(bounded, func(context.Context) (string, error) {
		return s.backend.Subscribe(ctx, &backends.SubscribeRequest{Keys: keys}, func(_ context.Context, e *backends.UpdateEvent) error {
			h.add(e.Items)
			return nil
		})
	})
	if err != nil {
		cancel()
		return func() {}, fmt.Errorf("cannot watch: %w", hideSecrets(err, s.properties))
	}
	return func() {
		cancel() // this alone ends it; some backends keep a note of it until they are told
		bounded, end := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer end()
		_ = run(bounded, func(ctx context.Context) error {
			return s.backend.Unsubscribe(ctx, &backends.UnsubscribeRequest{ID: id})
		})
	}, nil
}

// Close implements configuration.Store.
func (s *configurationStore) Close() error {
	s.closing.Do(func() {
		s.board.Close()
		s.feeds.Close()
		s.calls.shut()
		if s.watched.Load() {
			// Redis' backend panics when its connections close before it saw the
			// end of a subscription, and has no way to wait for that.
			timer := time.NewTimer(unsubscribeTime)
			defer timer.Stop()
			<-timer.C
		}
		s.closeErr = closeQuietly(s.backend)
	})
	return s.closeErr
}
