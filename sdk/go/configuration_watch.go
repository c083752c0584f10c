package ottavo

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Watch yields the items under the keys, or all in the scope when there are no
// keys, as they are, and then whatever becomes of them, until ctx ends or the loop
// is left. Of changes that follow each other closely only the last one may come.
//
//	for item, err := range config.Watch(ctx, "greeting") {
//		if err != nil { ... } // the connection is lost, and is looked for
//		if item.Deleted { ... }
//	}
//
// When the connection is lost, that error is yielded, and the watch goes on by
// itself as soon as the runtime is back: it yields what has changed meanwhile,
// deletions too. Other errors (no such store), and any error of the first
// connection, are yielded and end it. The end of ctx is no error.
func (c *Configuration) Watch(ctx context.Context, keys ...string) iter.Seq2[ConfigItem, error] {
	return func(yield func(ConfigItem, error) bool) {
		w := &configWatch{config: c, keys: keys, yield: yield, known: make(map[configID]ConfigItem)}
		var pause backoff
		for ctx.Err() == nil {
			w.progress = false
			err := w.run(ctx)
			switch {
			case w.left || over(ctx):
				return
			case !w.stands || !lost(err):
				yield(ConfigItem{}, failed("SubscribeConfiguration", err))
				return
			case !yield(ConfigItem{}, failed("SubscribeConfiguration", err)):
				return
			}
			if w.progress {
				pause.reset()
			}
			pause.wait(ctx)
		}
	}
}

// lost reports whether the connection, and not the request, made a call fail.
func lost(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.Internal, codes.DeadlineExceeded:
		return true // Internal: what a broken connection is in the middle of a stream
	}
	return false
}

// configWatch is the state of one Watch.
type configWatch struct {
	config *Configuration
	keys   []string
	yield  func(ConfigItem, error) bool

	left     bool // the loop was left
	stands   bool // a connection stood once
	progress bool // the last connection stood
	known    map[configID]ConfigItem
}

// run watches over one stream, until it ends.
func (w *configWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.config.api.SubscribeConfiguration(ctx)
	if err != nil {
		return err
	}
	scope := w.config.scope
	err = stream.Send(&runtimev1.SubscribeConfigurationRequest{
		StoreName: w.config.store, AppId: scope.AppID, Group: scope.Group, Label: scope.Label, Keys: w.keys, Metadata: scope.Metadata,
	})
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: RecvMsg tells why
		return err
	}
	// The header says that the subscription stands.
	if header, err := stream.Header(); err == nil && header != nil {
		if w.stands {
			if err := w.catchUp(ctx); err != nil || w.left {
				return err
			}
		}
		w.stands, w.progress = true, true
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		for _, item := range resp.GetItems() {
			if !w.tell(newConfigItem(item)) {
				return nil
			}
		}
	}
}

// catchUp tells of what was deleted while nobody was connected; the rest comes by
// the subscription itself, which begins with what there is.
func (w *configWatch) catchUp(ctx context.Context) error {
	items, err := w.config.Get(ctx, w.keys...)
	if err != nil {
		return err
	}
	there := make(map[configID]bool, len(items))
	for _, item := range items {
		there[item.id()] = true
		if !w.tell(item) {
			return nil
		}
	}
	for id, item := range w.known {
		if there[id] || item.Deleted {
			continue
		}
		if !w.tell(ConfigItem{Key: item.Key, Group: item.Group, Label: item.Label, Deleted: true}) {
			return nil
		}
	}
	return nil
}

// tell yields an item unless it is known as it is. false: the loop was left.
func (w *configWatch) tell(item ConfigItem) bool {
	if before, known := w.known[item.id()]; known && before.same(item) {
		return true
	}
	w.known[item.id()] = item
	w.left = !w.yield(item, nil)
	return !w.left
}
