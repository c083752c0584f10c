package apollo

import (
	"context"
	"sync"
	"time"

	"github.com/apolloconfig/agollo/v4/env/config"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

const (
	// The pause before another try, which doubles.
	minPause = 200 * time.Millisecond
	maxPause = 5 * time.Second
	// refreshTime is how often a namespace is read although nobody said that it
	// changed, as Apollo's own clients do.
	refreshTime = 5 * time.Minute
)

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	scope = s.own(scope)
	namespaces := s.groups(scope.Group)
	releases, errs := make([]func(), len(namespaces)), make([]error, len(namespaces))
	var wg sync.WaitGroup
	for i, namespace := range namespaces {
		wg.Go(func() { releases[i], errs[i] = s.feeds.Use(ctx, namespace) })
	}
	wg.Wait()
	defer func() {
		for _, release := range releases {
			if release != nil {
				release()
			}
		}
	}()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return s.board.Watch(ctx, configuration.Select(scope, keys), on)
}

// followed is what is known of a namespace that is watched, or of its tags.
type followed struct {
	namespace, release string
	texts              map[string]string
	notified           int64
}

// follow brings the items of a namespace onto the board until ctx ends.
func (s *Store) follow(ctx context.Context, namespace string, ready func()) error {
	all := configuration.Select(configuration.Scope{AppID: s.AppID, Group: namespace, Label: configuration.Any}, nil)
	defer s.board.Forget(all)
	own, tags := &followed{namespace: namespace, notified: -1}, &followed{namespace: tagsNamespace, notified: -1}
	both := []*followed{own, tags}
	for _, f := range both {
		var err error
		if f.texts, err = s.read(ctx, f.namespace); err != nil {
			return err
		}
	}
	show := func() error { return s.board.Replace(all, items(namespace, own.texts, tags.texts)) }
	if err := show(); err != nil {
		return err
	}
	ready()
	pause, refreshed := minPause, time.Now()
	for ctx.Err() == nil {
		changed, err := s.await(ctx, both)
		if err == nil && !changed && time.Since(refreshed) > refreshTime {
			changed, err = s.refresh(ctx, both)
		}
		if changed {
			if err := show(); err != nil {
				return err
			}
		}
		if err == nil {
			if changed {
				refreshed = time.Now()
			}
			pause = minPause
			continue
		}
		if ctx.Err() != nil {
			break
		}
		s.log.WarnContext(ctx, "cannot follow Apollo; what is known stays in force", "namespace", namespace, "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

// await waits for a notification and reads what it is about. The id of a
// notification counts as known only when that was read.
func (s *Store) await(ctx context.Context, list []*followed) (changed bool, err error) {
	ids := make([]notification, len(list))
	for i, f := range list {
		ids[i] = notification{Namespace: f.namespace, ID: f.notified}
	}
	news, err := s.client.poll(ctx, ids)
	if err != nil {
		return false, err
	}
	for _, n := range news {
		for _, f := range list {
			if f.namespace != n.Namespace {
				continue
			}
			differs, err := s.update(ctx, f, string(n.Messages))
			changed = changed || differs
			if err != nil {
				return changed, err
			}
			f.notified = n.ID
		}
	}
	return changed, nil
}

// refresh reads all of them.
func (s *Store) refresh(ctx context.Context, list []*followed) (changed bool, err error) {
	for _, f := range list {
		differs, err := s.update(ctx, f, "")
		changed = changed || differs
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// update reads a namespace if there is another release.
func (s *Store) update(ctx context.Context, f *followed, messages string) (changed bool, err error) {
	var got *config.ApolloConfig
	if got, err = s.client.fetch(ctx, f.namespace, f.release, messages); err != nil || got == nil {
		return false, err
	}
	f.texts, f.release = texts(got.Configurations), got.ReleaseKey
	if s.backups != nil {
		s.backups.keep(ctx, got)
	}
	return true, nil
}
