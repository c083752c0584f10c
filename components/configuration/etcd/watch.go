package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// The pause before another try, which doubles.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// Watch implements configuration.Store.
func (s *Store) Watch(ctx context.Context, scope configuration.Scope, keys []string, on func(configuration.Change) error) error {
	if err := checkApp(scope.AppID); err != nil {
		return err
	}
	release, err := s.feeds.Use(ctx, scope.AppID)
	if err != nil {
		return err
	}
	defer release()
	return s.board.Watch(ctx, configuration.Select(scope.Or(defaultGroup, defaultLabel), keys), on)
}

// follow brings the items of an application onto the board until ctx ends.
func (s *Store) follow(ctx context.Context, appID string, ready func()) error {
	all := configuration.Select(configuration.Scope{AppID: appID, Group: configuration.Any, Label: configuration.Any}, nil)
	defer s.board.Forget(all)
	stands, pause := false, minPause
	for {
		began := time.Now()
		err := s.readAndWatch(ctx, appID, all, func() { stands = true; ready() })
		switch {
		case ctx.Err() != nil:
			return nil
		case !stands:
			return err
		case time.Since(began) > maxPause:
			pause = minPause // it went well for a while
		}
		s.log.WarnContext(ctx, "the watch of etcd ended; everything is read again", "app", appID, "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}

// readAndWatch reads everything and then follows the changes after that, until
// something fails. The client itself goes on from the last revision when a
// connection breaks; what comes back from here is what it cannot mend, such as
// a revision that was compacted away.
func (s *Store) readAndWatch(ctx context.Context, appID string, all configuration.Selection, ready func()) error {
	prefix := appRow(appID)
	first, err := do(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, prefix, clientv3.WithPrefix())
	})
	if err != nil {
		return err
	}
	rows := newRows(appID)
	for _, kv := range first.Kvs {
		rows.put(string(kv.Key), string(kv.Value))
	}
	if err := s.board.Replace(all, rows.items(all)); err != nil {
		return err
	}
	ready()
	// The watch ends with this context, whatever becomes of the loop.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for answer := range s.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(first.Header.Revision+1)) {
		if err := answer.Err(); err != nil {
			return err
		}
		if err := s.board.Put(appID, apply(rows, answer.Events)...); err != nil {
			return err
		}
	}
	return errors.New("the watch has ended")
}

// apply notes what happened to rows and returns what became of the items.
func apply(rows *rows, events []*clientv3.Event) []configuration.Item {
	seen := make(map[configuration.ID]bool, len(events))
	order := make([]configuration.ID, 0, len(events))
	for _, e := range events {
		var id configuration.ID
		var ok bool
		if e.Type == mvccpb.DELETE {
			id, ok = rows.remove(string(e.Kv.Key))
		} else {
			id, ok = rows.put(string(e.Kv.Key), string(e.Kv.Value))
		}
		if ok && !seen[id] {
			seen[id] = true
			order = append(order, id)
		}
	}
	items := make([]configuration.Item, len(order))
	for i, id := range order {
		items[i] = rows.item(id)
	}
	return items
}
