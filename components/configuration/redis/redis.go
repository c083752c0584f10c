package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	decoding "github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this store in a configuration.
const Type = "redis"

// Metadata is the store's configuration, beside `timeout`, under the names that Dapr
// has for them. A duration is a Go duration, or a bare number of milliseconds.
type Metadata struct {
	redisnode.Metadata
	redisnode.AzureLogin
	// PollInterval is how often what is watched is read where the server does not
	// tell of changes.
	PollInterval time.Duration `json:"pollInterval" unit:"ms" default:"2s" min:"50ms"`
}

// Defaults returns the settings of a component without any.
func Defaults() Metadata {
	var m Metadata
	decoding.Defaults(&m)
	m.RedisMaxRetryInterval = 2 * time.Second // as Dapr has it here
	return m
}

const (
	// defaultTimeout bounds a call.
	defaultTimeout = 10 * time.Second
	// batch is how many keys go in one pipeline.
	batch = 256
	// healthKey is read by checks until a key of the caller's is known. It is never made.
	healthKey = placed + "|health"
)

// Store keeps items in Redis. Use New. It implements configuration.Store and
// components.Checker.
type Store struct {
	client  *redisnode.Client
	cluster bool
	db      int
	poll    time.Duration
	timeout time.Duration
	log     *slog.Logger
	// board has the items of each feed, under its name in the place of an application.
	board  *configuration.Board
	feeds  *configuration.Feeds[feed]
	trial  redisnode.Trial
	read   atomic.Pointer[string] // a key that was read
	closed atomic.Bool
}

// New connects to Redis. It fails, within the time limits or when ctx ends, if the
// server does not answer, or does not accept the credentials; the error names its
// address.
func New(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
	m := Defaults()
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	timeout, err := configuration.Timeout(cfg, defaultTimeout)
	if err != nil {
		return nil, err
	}
	client, err := redisnode.OpenAny(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, kindOf(err)
	}
	s := &Store{
		client: client, cluster: m.Type == "cluster", db: max(m.DB, m.Database), poll: m.PollInterval, timeout: timeout, log: env.Log, board: configuration.NewBoard(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.feeds = configuration.NewFeeds(ctx, s.follow)
	return s, nil
}

// Check implements components.Checker: a key that was read can be read, and where
// something was saved that can be done.
func (s *Store) Check(ctx context.Context) error {
	key := healthKey
	known := s.read.Load()
	if known != nil {
		key = *known
	}
	err := s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error { return r.Get(ctx, key).Err() })
	if errors.Is(err, goredis.Nil) || isOther(err) || known == nil && errors.Is(err, configuration.ErrDenied) && redisnode.Denied(err) {
		err = nil // the access list need not know the key of checks
	}
	if saved := s.trial.Key(); err == nil && saved != "" {
		err = s.trial.Verdict(s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
			// Refused for the time once it is sure that it may be done.
			return r.Do(ctx, "set", saved, "", "ex", 0).Err()
		}), saved, "invalid expire")
	}
	return configuration.Silence(ctx, err, "Redis at "+s.client.Where)
}

// do carries out a command in the store's time.
func (s *Store) do(ctx context.Context, harmless bool, command redisnode.Command) error {
	if s.closed.Load() {
		return configuration.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.client.Do(bounded, harmless, command)
	switch {
	case err == nil || errors.Is(err, goredis.Nil):
		return err
	case s.closed.Load(), errors.Is(err, redisnode.ErrClosed):
		return configuration.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) && bounded.Err() != nil:
		return components.Late(fmt.Errorf("%w: redis %s: no answer within %s", configuration.ErrUnavailable, s.client.Where, s.timeout))
	}
	return kindOf(err)
}

// kindOf adds the kind's error that err is, where it is one.
func kindOf(err error) error {
	_, reply := errors.AsType[goredis.Error](err)
	switch {
	case redisnode.Denied(err), reply && (strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "NOAUTH")):
		return fmt.Errorf("%w: %w: check redisUsername, redisPassword and the user's rights", configuration.ErrDenied, err)
	case components.IsAway(err), components.IsLate(err):
		return fmt.Errorf("%w: %w", configuration.ErrUnavailable, err)
	}
	return err
}

// Get implements configuration.Store.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	found, err := s.readAll(ctx, scope.Group, scope.Label, configuration.Keys(keys))
	if err != nil {
		return nil, err
	}
	sel := configuration.Select(configuration.Scope{Group: scope.Group, Label: scope.Label}, keys)
	return slices.DeleteFunc(found, func(i configuration.Item) bool {
		return !sel.Has(configuration.ID{Group: i.Group, Label: i.Label, Key: i.Key})
	}), nil
}

// readAll returns the items under keys, or all of a group and label (and others,
// perhaps, when one of these is Any), sorted.
func (s *Store) readAll(ctx context.Context, group, label string, keys []string) ([]configuration.Item, error) {
	var names []string
	if group == configuration.Any || label == configuration.Any || len(keys) == 0 {
		var err error
		if names, err = s.scan(ctx, patternOf(group, label)); err != nil {
			return nil, err
		}
	} else {
		for _, key := range keys {
			names = append(names, keyOf(group, label, key))
		}
	}
	items, err := s.fetch(ctx, names)
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(i configuration.Item) bool { return i.Deleted })
	configuration.Sort(items)
	return items, nil
}

// scan returns the keys of Redis that fit a pattern and may be items, each once.
func (s *Store) scan(ctx context.Context, pattern string) ([]string, error) {
	var mu sync.Mutex
	var names []string
	err := s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		names = nil // of a try before
		return redisnode.EachMaster(ctx, r, func(ctx context.Context, node goredis.Cmdable) error {
			for cursor := uint64(0); ; {
				page, next, err := node.Scan(ctx, cursor, pattern, 1000).Result()
				if err != nil {
					return err
				}
				mu.Lock()
				names = append(names, page...)
				mu.Unlock()
				if cursor = next; cursor == 0 {
					return nil
				}
			}
		})
	})
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { _, ok := itemAt(name); return !ok })
	return names, err
}

// fetch reads the items in keys of Redis; where there is none, or anything but a
// string, it is Deleted. Keys that are none of the configuration are left out.
func (s *Store) fetch(ctx context.Context, names []string) ([]configuration.Item, error) {
	items := make([]configuration.Item, 0, len(names))
	for chunk := range slices.Chunk(names, batch) {
		values := make([]*goredis.StringCmd, len(chunk))
		err := s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
			pipe := r.Pipeline()
			for i, name := range chunk {
				values[i] = pipe.Get(ctx, name)
			}
			_, err := pipe.Exec(ctx)
			for _, v := range values {
				if err := v.Err(); err != nil && !errors.Is(err, goredis.Nil) && !isOther(err) {
					return err
				}
			}
			if _, reply := errors.AsType[goredis.Error](err); !reply {
				return err
			}
			return nil // of single keys
		})
		if err != nil {
			return nil, err
		}
		for i, name := range chunk {
			item, ok := itemAt(name)
			if !ok {
				continue
			}
			if item.Deleted = values[i].Err() != nil; !item.Deleted {
				item = fill(item, values[i].Val())
				if s.read.Load() == nil {
					s.read.Store(&name)
				}
			}
			items = append(items, item)
		}
	}
	return items, nil
}

// isOther tells the server's answer that a key holds anything but a string.
func isOther(err error) bool {
	_, reply := errors.AsType[goredis.Error](err)
	return reply && strings.Contains(err.Error(), "WRONGTYPE")
}

// Save implements configuration.Store. An item's version is what its metadata have as
// `version`, none without. The request's metadata may have a `ttlInSeconds`, after
// which the items are gone.
func (s *Store) Save(ctx context.Context, _ string, items []configuration.Item, metadata map[string]string) error {
	ttl, err := ttlOf(metadata)
	if err != nil {
		return err
	}
	names, values := make([]string, len(items)), make([]string, len(items))
	for i, item := range items {
		if err := item.Check(); err != nil {
			return err
		}
		if names[i], values[i], err = encode(item); err != nil {
			return err
		}
	}
	return s.write(ctx, names, func(ctx context.Context, pipe goredis.Pipeliner, i int) { pipe.Set(ctx, names[i], values[i], ttl) })
}

// ttlOf reads a time to live; 0: there is none.
func ttlOf(metadata map[string]string) (time.Duration, error) {
	for name, text := range metadata {
		if !strings.EqualFold(name, "ttlInSeconds") || text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n == 0 || n < -1 {
			return 0, fmt.Errorf("%w: ttlInSeconds %q is no number above 0 (or -1: for ever)", configuration.ErrInvalid, text)
		}
		return time.Duration(max(n, 0)) * time.Second, nil
	}
	return 0, nil
}

// Delete implements configuration.Store.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := scope.CheckDelete(keys); err != nil {
		return err
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = keyOf(scope.Group, scope.Label, key)
		if item, ok := itemAt(names[i]); !ok || item.Key != key {
			return fmt.Errorf("%w: %q is no key of the configuration", configuration.ErrInvalid, key)
		}
	}
	return s.write(ctx, names, func(ctx context.Context, pipe goredis.Pipeliner, i int) { pipe.Del(ctx, names[i]) })
}

// write sends a command for each of the keys, which may be sent again.
func (s *Store) write(ctx context.Context, names []string, add func(ctx context.Context, pipe goredis.Pipeliner, i int)) error {
	if len(names) == 0 {
		return cmp.Or(s.ended(), ctx.Err())
	}
	for from := 0; from < len(names); from += batch {
		err := s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
			pipe := r.Pipeline()
			for i := from; i < min(from+batch, len(names)); i++ {
				add(ctx, pipe, i)
			}
			_, err := pipe.Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
		s.trial.Wrote(names[from])
	}
	return nil
}

// ended is ErrClosed after Close.
func (s *Store) ended() error {
	if s.closed.Load() {
		return configuration.ErrClosed
	}
	return nil
}

// Defaults implements configuration.Store.
func (*Store) Defaults() (group, label string) { return "", "" }

// Close implements configuration.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.board.Close()
	err := s.client.Close() // ends reads of feeds
	s.feeds.Close()
	return err
}
