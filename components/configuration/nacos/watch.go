package nacos

import (
	"context"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// The pause before another try, which doubles; the first is also what is waited
// when Nacos tells of a change that is none.
const (
	minPause = 200 * time.Millisecond
	maxPause = 5 * time.Second
)

// feedOf is the name of the feed that follows these keys; groups and keys have no
// control characters.
func feedOf(group string, keys []string) string {
	return strings.Join(append([]string{group}, keys...), lineMark)
}

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	scope, err := own(scope)
	if err != nil {
		return err
	}
	release, err := s.feeds.Use(ctx, feedOf(scope.Group, configuration.Keys(keys)))
	if err != nil {
		return err
	}
	defer release()
	return s.board.Watch(ctx, configuration.Select(scope, keys), on)
}

// followed is what one feed follows.
type followed struct {
	scope configuration.Scope
	keys  []string
	sel   configuration.Selection
	known map[place]string // digests
	read  time.Time        // when everything was read last
}

// byKeys says that Nacos can tell of all that there is to follow.
func (f *followed) byKeys() bool { return len(f.keys) > 0 && f.scope.Group != configuration.Any }

// follow brings items onto the board until ctx ends.
func (s *Store) follow(ctx context.Context, feed string, ready func()) error {
	parts := strings.Split(feed, lineMark)
	f := &followed{scope: configuration.Scope{Group: parts[0]}, keys: parts[1:]}
	f.sel = configuration.Select(f.scope, f.keys)
	if err := s.reread(ctx, f); err != nil {
		return err
	}
	ready()
	pause := minPause
	for ctx.Err() == nil {
		err := s.await(ctx, f)
		if err == nil {
			pause = minPause
			continue
		}
		if ctx.Err() != nil {
			break
		}
		s.log.WarnContext(ctx, "cannot follow Nacos; what is known stays in force", "group", f.scope.Group, "error", err, "pause", pause)
		wait(ctx, pause)
		pause = min(2*pause, maxPause)
	}
	return nil
}

// wait waits for that long, or until ctx ends.
func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// reread reads everything that is followed, and notes its digests.
func (s *Store) reread(ctx context.Context, f *followed) error {
	var items []configuration.Item
	var err error
	if f.byKeys() {
		items, err = s.read(ctx, f.scope, f.keys)
	} else {
		items, err = s.client.list(ctx, groupOf(f.scope.Group))
	}
	if err != nil {
		return err
	}
	f.read = time.Now()
	f.known = make(map[place]string, len(items)+len(f.keys))
	if f.byKeys() {
		for _, key := range f.keys {
			f.known[place{f.scope.Group, key}] = ""
		}
	}
	for _, i := range items {
		if f.sel.Has(configuration.ID{Group: i.Group, Key: i.Key}) {
			f.known[place{i.Group, i.Key}] = digest(i.Content)
		}
	}
	return s.board.Replace(f.sel, items)
}

// await waits for changes and reads what changed. Without keys it also reads
// everything again when it has waited for long enough.
func (s *Store) await(ctx context.Context, f *followed) error {
	limit := holdTime + s.timeout
	if !f.byKeys() {
		limit = time.Until(f.read.Add(s.ListInterval))
		if len(f.known) == 0 { // nothing to ask for
			wait(ctx, limit)
			limit = 0
		}
		if limit <= 0 {
			return s.reread(ctx, f)
		}
	}
	changed, err := s.client.listen(ctx, f.known, limit)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		if f.byKeys() {
			return nil
		}
		return s.reread(ctx, f)
	}
	differs := false
	for _, p := range changed {
		old, followed := f.known[p]
		if !followed {
			continue
		}
		content, there, err := s.client.get(ctx, p.group, p.key)
		if err != nil {
			return err
		}
		sum := ""
		if there {
			sum = digest(content)
		}
		if f.known[p] = sum; !there && !f.byKeys() {
			delete(f.known, p)
		}
		differs = differs || sum != old
		err = s.board.Put("", configuration.Item{Key: p.key, Group: p.group, Content: content, Deleted: !there})
		if err != nil {
			return err
		}
	}
	if !differs {
		wait(ctx, minPause)
	}
	return nil
}
