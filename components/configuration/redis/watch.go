package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
)

const (
	// rereadTime is how often what is watched is read although the server tells of
	// changes: not of all of them.
	rereadTime = 10 * time.Second
	// minPause and maxPause are those before another try, which double.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
	// deniedPause is the one after the server has forbidden to subscribe.
	deniedPause = 30 * time.Second
)

// feed is what watchers of the same keys share: a list of keys, as JSON, in one group
// and label; or, where that is "", all keys.
type feed struct{ group, label, keys string }

// feedOf is the feed for what is watched.
func feedOf(scope configuration.Scope, keys []string) (feed, error) {
	f := feed{group: scope.Group, label: scope.Label}
	keys = configuration.Keys(keys)
	if len(keys) == 0 || f.group == configuration.Any || f.label == configuration.Any {
		return f, nil
	}
	text, err := json.Marshal(keys)
	f.keys = string(text)
	return f, err
}

// list returns the keys; nil: all.
func (f feed) list() (keys []string) {
	if f.keys != "" {
		_ = json.Unmarshal([]byte(f.keys), &keys) // it was made of some
	}
	return keys
}

// name is the feed's application on the board.
func (f feed) name() string { return fmt.Sprintf("%q %q %s", f.group, f.label, f.keys) }

// scope selects the feed's items on the board.
func (f feed) scope() configuration.Scope {
	return configuration.Scope{AppID: f.name(), Group: f.group, Label: f.label}
}

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	f, err := feedOf(scope, keys)
	if err != nil {
		return fmt.Errorf("%w: keys: %w", configuration.ErrInvalid, err)
	}
	release, err := s.feeds.Use(ctx, f)
	if err != nil {
		return err
	}
	defer release()
	return s.board.Watch(ctx, configuration.Select(f.scope(), keys), on)
}

// hints are the keys of Redis that may have changed since they were read.
type hints struct {
	mu   sync.Mutex
	keys map[string]bool
	all  bool          // all of the feed
	some chan struct{} // there are some; capacity 1
	told atomic.Bool   // the server tells of changes
}

func newHints() *hints { return &hints{keys: make(map[string]bool), some: make(chan struct{}, 1)} }

// add notes a key; "" is all.
func (h *hints) add(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if key == "" {
		h.all = true
	} else if !h.all {
		h.keys[key] = true
	}
	select {
	case h.some <- struct{}{}:
	default:
	}
}

func (h *hints) take() (keys []string, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys, all = slices.Sorted(maps.Keys(h.keys)), h.all
	clear(h.keys)
	h.all = false
	return keys, all
}

// follow brings the items of a feed onto the board until ctx ends.
func (s *Store) follow(ctx context.Context, f feed, ready func()) error {
	defer s.board.Forget(configuration.Select(f.scope(), nil))
	if err := s.reread(ctx, f); err != nil {
		return err
	}
	ready()
	h := newHints()
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	listening.Go(func() { s.listen(ctx, f, h) })
	timer := time.NewTimer(s.interval(h))
	defer timer.Stop()
	pause := time.Duration(0) // 0: the last read went well
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			h.add("")
			continue
		case <-h.some:
		}
		keys, all := h.take()
		var err error
		if all {
			err = s.reread(ctx, f)
		} else {
			err = s.refresh(ctx, f, keys)
		}
		switch {
		case ctx.Err() != nil || s.closed.Load():
			return nil
		case err == nil:
			pause = 0
			if all { // after hints the next one is not put off
				timer.Reset(s.interval(h))
			}
			continue
		case pause == 0:
			s.log.WarnContext(ctx, "configuration cannot be read; what was read before stays in force, and it is tried again", "error", err)
		}
		pause = next(pause)
		if !wait(ctx, pause) {
			return nil
		}
		h.add("") // what the hints were about was not read
	}
}

// next is the pause after one.
func next(pause time.Duration) time.Duration { return min(max(2*pause, minPause), maxPause) }

// wait returns after d; false when ctx has ended before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// interval is how long it may take until everything is read again.
func (s *Store) interval(h *hints) time.Duration {
	if h.told.Load() {
		return rereadTime
	}
	return s.poll
}

// reread brings all items of a feed onto the board.
func (s *Store) reread(ctx context.Context, f feed) error {
	items, err := s.readAll(ctx, f.group, f.label, f.list())
	if err != nil {
		return err
	}
	return s.board.Replace(configuration.Select(f.scope(), f.list()), items)
}

// refresh brings the items in some keys of Redis onto the board, as they are now.
func (s *Store) refresh(ctx context.Context, f feed, names []string) error {
	items, err := s.fetch(ctx, names)
	if err != nil {
		return err
	}
	sel := configuration.Select(configuration.Scope{Group: f.group, Label: f.label}, f.list())
	items = slices.DeleteFunc(items, func(i configuration.Item) bool {
		return !sel.Has(configuration.ID{Group: i.Group, Label: i.Label, Key: i.Key})
	})
	return s.board.Put(f.name(), items...)
}

// listen notes what the server tells of, until ctx ends.
func (s *Store) listen(ctx context.Context, f feed, h *hints) {
	prefix := fmt.Sprintf("__keyspace@%d__:", s.db)
	channels, patterns := []string{globber.Replace(prefix) + patternOf(f.group, f.label)}, true
	if keys := f.list(); keys != nil {
		channels, patterns = nil, false
		for _, key := range keys {
			channels = append(channels, prefix+keyOf(f.group, f.label, key))
		}
	}
	warned := false
	warn := func(why any) {
		if !warned && ctx.Err() == nil && !s.closed.Load() {
			warned = true
			s.log.WarnContext(ctx, "Redis does not tell of changes: what is watched is read from time to time instead (pollInterval)",
				"server", s.client.Where, "why", why, "interval", s.poll, "remedy", `have its notify-keyspace-events hold "Kg$xe", and let the user subscribe to __keyspace@*`)
		}
	}
	if s.cluster {
		warn("the nodes of a cluster tell of their own keys only")
		return
	}
	for pause := time.Duration(0); ctx.Err() == nil; {
		why := s.notify(ctx)
		err := s.client.Listen(ctx, patterns, channels, func(channel string, standing bool) {
			if standing {
				pause = 0
				h.told.Store(why == nil)
			}
			h.add(strings.TrimPrefix(channel, prefix)) // "" when it stands: all
			if why != nil {
				warn(why)
			}
		})
		h.told.Store(false)
		h.add("")
		pause = next(pause)
		if redisnode.Denied(err) {
			warn(err)
			pause = deniedPause
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// wanted are the flags of notify-keyspace-events that are needed: what happens to
// keys (K) by commands for all kinds of them (g) and for strings ($), and when they
// expire (x) or are thrown out for want of room (e).
const wanted = "Kg$xe"

// notify sees to it that the server tells of keys. The error says why it does not, or
// why nobody can say.
func (s *Store) notify(ctx context.Context) error {
	const setting = "notify-keyspace-events"
	return s.do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		got, err := r.ConfigGet(ctx, setting).Result()
		if err != nil {
			return err
		}
		if len(got) < 2 {
			return fmt.Errorf("it does not say what %s is", setting)
		}
		flags := fmt.Sprint(got[1])
		if missing := missingFlags(flags); missing != "" {
			return r.ConfigSet(ctx, setting, flags+missing).Err()
		}
		return nil
	})
}

// missingFlags returns which of the flags wanted there are not.
func missingFlags(flags string) string {
	var missing strings.Builder
	for _, flag := range wanted {
		if !strings.ContainsRune(flags, flag) && (flag == 'K' || !strings.Contains(flags, "A")) { // A is all but K and E
			missing.WriteRune(flag)
		}
	}
	return missing.String()
}
