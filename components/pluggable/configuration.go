package pluggable

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	configurationv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/configuration"
)

// configurationStore is a configuration store in a process of its own.
type configurationStore struct {
	*link
	client   configurationv1.ConfigurationClient
	defaults atomic.Pointer[map[string]string]
}

func newConfiguration(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (configuration.Store, error) {
	s := &configurationStore{link: l, client: configurationv1.NewConfigurationClient(l)}
	all := cfg
	all.Metadata = maps.Clone(cfg.Metadata)
	for _, key := range []string{"address", "timeout"} { // which stand beside the settings
		if v, ok := cfg.Rest[key]; ok {
			if all.Metadata == nil {
				all.Metadata = make(map[string]any)
			}
			if list, ok := v.([]string); ok {
				v = anyOf(list)
			}
			all.Metadata[key] = v
		}
	}
	err := l.startOwn(ctx, configurationv1.Configuration_ServiceDesc, "configuration", env, all, func(r *componentv1.InitResponse) {
		properties := r.GetProperties()
		s.defaults.Store(&properties)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func anyOf(list []string) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// Defaults implements configuration.Store.
func (s *configurationStore) Defaults() (group, label string) {
	d := *s.defaults.Load()
	return d["group"], d["label"]
}

func (s *configurationStore) said(ctx context.Context, err error) error {
	return s.explain(ctx, err, kindErrors{closed: configuration.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: configuration.ErrInvalid, codes.Unimplemented: configuration.ErrNotSupported,
		codes.Unavailable: configuration.ErrUnavailable, codes.PermissionDenied: configuration.ErrDenied, codes.Unauthenticated: configuration.ErrDenied,
	}})
}

func scope(s configuration.Scope) *configurationv1.Scope {
	return &configurationv1.Scope{AppId: s.AppID, Group: s.Group, Label: s.Label, Metadata: s.Metadata}
}

func items(list []*configurationv1.Item) []configuration.Item {
	out := make([]configuration.Item, 0, len(list))
	for _, i := range list {
		out = append(out, configuration.Item{
			Key: i.GetKey(), Content: i.GetContent(), Group: i.GetGroup(), Label: i.GetLabel(), Tags: i.GetTags(), Metadata: i.GetMetadata(), Deleted: i.GetDeleted(),
		})
	}
	return out
}

// Get implements configuration.Store.
func (s *configurationStore) Get(ctx context.Context, where configuration.Scope, keys []string) ([]configuration.Item, error) {
	resp, err := s.client.Get(ctx, &configurationv1.GetRequest{Scope: scope(where), Keys: keys})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return items(resp.GetItems()), nil
}

// Save implements configuration.Store.
func (s *configurationStore) Save(ctx context.Context, appID string, list []configuration.Item, metadata map[string]string) error {
	req := &configurationv1.SaveRequest{AppId: appID, Metadata: metadata}
	for _, i := range list {
		if err := i.Check(); err != nil {
			return err
		}
		req.Items = append(req.Items, &configurationv1.Item{Key: i.Key, Content: i.Content, Group: i.Group, Label: i.Label, Tags: i.Tags, Metadata: i.Metadata})
	}
	_, err := s.client.Save(ctx, req)
	return s.said(ctx, err)
}

// Delete implements configuration.Store.
func (s *configurationStore) Delete(ctx context.Context, where configuration.Scope, keys []string) error {
	if err := where.CheckDelete(keys); err != nil {
		return err
	}
	_, err := s.client.Delete(ctx, &configurationv1.DeleteRequest{Scope: scope(where), Keys: keys})
	return s.said(ctx, err)
}

// Watch implements configuration.Store. When the process comes back, its first
// message is compared with what is known.
func (s *configurationStore) Watch(ctx context.Context, where configuration.Scope, keys []string, on func(configuration.Change) error) error {
	w := &watching{store: s, req: &configurationv1.WatchRequest{Scope: scope(where), Keys: keys}, on: on}
	pause := firstPause
	for {
		began := time.Now()
		err := w.stream(ctx)
		switch {
		case w.refused != nil:
			return w.refused
		case s.isClosed():
			return configuration.ErrClosed
		case ctx.Err() != nil:
			if w.known == nil {
				return ctx.Err()
			}
			return nil
		case w.known == nil: // it never stood
			return s.said(ctx, err)
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		s.log.Warn("the component's watch has ended and is set up again", "socket", s.socket, "error", s.said(ctx, err))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.base.Done():
			timer.Stop()
			return configuration.ErrClosed
		case <-timer.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// watching is one watch, over as many streams as it takes.
type watching struct {
	store   *configurationStore
	req     *configurationv1.WatchRequest
	on      func(configuration.Change) error
	known   map[configuration.ID]configuration.Item // nil until the first message
	refused error                                   // what on has said

	mu      sync.Mutex
	initial bool // what waits is the first change
	waiting []configuration.Item
	place   map[configuration.ID]int // in waiting
}

// stream watches until something ends it. While on is busy a goroutine goes on
// reading, so that of each item only the latest waits.
func (w *watching) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.store.base, cancel)() //nolint:contextcheck // the component's life
	more, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- w.read(ctx, cancel, more) }()
	for {
		var err error
		over := false
		select {
		case <-more:
		case err = <-ended:
			over = true
		}
		if change, there := w.take(); there && ctx.Err() == nil {
			if w.refused = w.on(change); w.refused != nil {
				cancel()
				if !over {
					<-ended //nolint:errcheck // only that it has ended counts
				}
				return w.refused
			}
		}
		if over {
			return err
		}
	}
}

// read receives changes until the stream ends.
func (w *watching) read(ctx context.Context, cancel func(), more chan<- struct{}) error {
	limit := time.AfterFunc(callTimeout, cancel) // for the first message
	defer limit.Stop()
	stream, err := w.store.client.Watch(ctx, w.req)
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the process has ended it")
		}
		if err != nil {
			return err
		}
		limit.Stop()
		w.add(w.note(items(resp.GetItems()), first))
		select {
		case more <- struct{}{}:
		default: // it is known already that there is something
		}
	}
}

// add lets a change wait.
func (w *watching) add(c configuration.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.initial = w.initial || c.Initial
	if w.place == nil {
		w.place = make(map[configuration.ID]int)
	}
	for _, i := range c.Items {
		if at, there := w.place[idOf(i)]; there {
			w.waiting[at] = i
			continue
		}
		w.place[idOf(i)] = len(w.waiting)
		w.waiting = append(w.waiting, i)
	}
}

// take returns what waits; false if nothing does.
func (w *watching) take() (configuration.Change, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change := configuration.Change{Initial: w.initial, Items: w.waiting}
	if change.Initial { // in which there is nothing that is gone
		change.Items = slices.DeleteFunc(change.Items, func(i configuration.Item) bool { return i.Deleted })
	}
	w.initial, w.waiting, w.place = false, nil, nil
	return change, change.Initial || len(change.Items) > 0
}

// note brings what is known up to date, and returns what is to be told.
func (w *watching) note(list []configuration.Item, first bool) configuration.Change {
	change := configuration.Change{Initial: w.known == nil, Items: list}
	if change.Initial {
		w.known = make(map[configuration.ID]configuration.Item, len(list))
	} else if first {
		change.Items = w.missed(list)
	}
	for _, i := range change.Items {
		if i.Deleted {
			delete(w.known, idOf(i))
		} else {
			w.known[idOf(i)] = i.Clone()
		}
	}
	return change
}

// missed is what has changed since the stream before ended.
func (w *watching) missed(now []configuration.Item) []configuration.Item {
	var out []configuration.Item
	there := make(map[configuration.ID]bool, len(now))
	for _, i := range now {
		id := idOf(i)
		there[id] = true
		old, known := w.known[id]
		if !known || old.Content != i.Content || !maps.Equal(old.Tags, i.Tags) || !maps.Equal(old.Metadata, i.Metadata) {
			out = append(out, i)
		}
	}
	for id := range w.known {
		if !there[id] {
			out = append(out, configuration.Item{Key: id.Key, Group: id.Group, Label: id.Label, Deleted: true})
		}
	}
	slices.SortFunc(out, func(a, b configuration.Item) int { return idOf(a).Compare(idOf(b)) })
	return out
}

func idOf(i configuration.Item) configuration.ID {
	return configuration.ID{Group: i.Group, Label: i.Label, Key: i.Key}
}

// Close implements configuration.Store.
func (s *configurationStore) Close() error {
	s.close()
	return nil
}
