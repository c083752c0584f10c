package capability_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// askedStore is a store that notes what it is asked.
type askedStore struct {
	configuration.Store
	err   error
	asked []string
}

func (r *askedStore) note(what string, args ...any) error {
	r.asked = append(r.asked, fmt.Sprintf(what, args...))
	return r.err
}

func (r *askedStore) Get(_ context.Context, s configuration.Scope, keys []string) ([]configuration.Item, error) {
	return nil, r.note("get %s/%s/%s %v", s.AppID, s.Group, s.Label, keys)
}

func (r *askedStore) Save(_ context.Context, app string, items []configuration.Item, _ map[string]string) error {
	return r.note("save %s %v", app, items)
}

func (r *askedStore) Delete(_ context.Context, s configuration.Scope, keys []string) error {
	return r.note("delete %s/%s/%s %v", s.AppID, s.Group, s.Label, keys)
}

func (r *askedStore) Watch(_ context.Context, s configuration.Scope, keys []string, _ func(configuration.Change) error) error {
	return r.note("watch %s/%s/%s %v", s.AppID, s.Group, s.Label, keys)
}

func (*askedStore) Defaults() (group, label string) { return "dg", "" }

func TestConfigurationDefaults(t *testing.T) {
	r := &askedStore{}
	c := capability.NewConfiguration("own", map[string]configuration.Store{"r": r})
	ctx := t.Context()
	for _, scope := range []configuration.Scope{{}, {AppID: " ", Group: "\t ", Label: "  "}, {AppID: "a", Group: " g", Label: "*"}} {
		if _, err := c.Get(ctx, "r", scope, []string{"k"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, "r", configuration.Scope{AppID: scope.AppID, Group: scope.Group}, []string{"k"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Save(ctx, "r", scope.AppID, []configuration.Item{{Key: "k", Group: scope.Group}}, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Watch(ctx, "r", scope, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"get own/dg/ [k]", "delete own/dg/ [k]", "save own [{k  dg  map[] map[] false}]", "watch own/dg/ []",
		"get own/dg/ [k]", "delete own/dg/ [k]", "save own [{k  dg  map[] map[] false}]", "watch own/dg/ []",
		"get a/ g/* [k]", "delete a/ g/ [k]", "save a [{k   g  map[] map[] false}]", "watch a/ g/* []",
	}
	if fmt.Sprint(r.asked) != fmt.Sprint(want) {
		t.Errorf("asked %q\nwant  %q", r.asked, want)
	}
	// What names nothing, or nothing exactly, does not come to the store.
	r.asked = nil
	wantError(t, c.Save(ctx, "r", "", []configuration.Item{{Key: "k"}, {}}, nil), capability.InvalidArgument)
	wantError(t, c.Delete(ctx, "r", configuration.Scope{Label: "*"}, []string{"k"}), capability.InvalidArgument)
	if err := errors.Join(c.Save(ctx, "r", "", nil, nil), c.Delete(ctx, "r", configuration.Scope{}, nil)); err != nil || len(r.asked) > 0 {
		t.Errorf("nothing to do: %v, asked %q", err, r.asked)
	}
}

func TestConfigurationErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kind capability.Kind
	}{
		{errors.New("odd"), capability.Unknown},
		{fmt.Errorf("x: %w", configuration.ErrInvalid), capability.InvalidArgument},
		{fmt.Errorf("x: %w", configuration.ErrNotSupported), capability.NotSupported},
		{fmt.Errorf("x: %w", configuration.ErrUnavailable), capability.Unavailable},
		{fmt.Errorf("x: %w", configuration.ErrDenied), capability.PermissionDenied},
		{configuration.ErrClosed, capability.Unavailable},
		{context.DeadlineExceeded, capability.Deadline}, // a limit of the store's own
	} {
		c := capability.NewConfiguration("", map[string]configuration.Store{"r": &askedStore{err: tt.err}})
		_, err := c.Get(t.Context(), "r", configuration.Scope{}, nil)
		for op, err := range map[capability.Op]error{
			capability.ConfigurationGet:    err,
			capability.ConfigurationSave:   c.Save(t.Context(), "r", "", []configuration.Item{{Key: "k"}}, nil),
			capability.ConfigurationDelete: c.Delete(t.Context(), "r", configuration.Scope{}, []string{"k"}),
			capability.ConfigurationWatch:  c.Watch(t.Context(), "r", configuration.Scope{}, nil, nil, nil),
		} {
			if e := wantError(t, err, tt.kind); e.Op != op || e.Component != "r" || !errors.Is(err, tt.err) {
				t.Errorf("%v of %v", e, tt.err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := capability.NewConfiguration("", map[string]configuration.Store{"r": &askedStore{err: context.Canceled}})
	_, err := c.Get(ctx, "r", configuration.Scope{}, nil)
	wantError(t, err, capability.Canceled)
	if err := c.Watch(ctx, "r", configuration.Scope{}, nil, nil, nil); err != nil {
		t.Errorf("a watch that its caller ends: %v", err)
	}
	_, err = c.Get(t.Context(), "none", configuration.Scope{}, nil)
	wantError(t, err, capability.UnknownComponent)
	var nobody *capability.Configuration
	wantError(t, nobody.Watch(t.Context(), "r", configuration.Scope{}, nil, nil, nil), capability.NotConfigured)
}

func TestConfigurationWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := memory.New(t.Context(), components.Env{}, components.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		c := capability.NewConfiguration("own", map[string]configuration.Store{"m": store})
		save := func(content string) {
			t.Helper()
			if err := c.Save(t.Context(), "m", "", []configuration.Item{{Key: "k", Content: content}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		save("1")
		var told, changes []string
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 3)
		stands := 0
		watch := func(scope configuration.Scope, list *[]string) {
			ended <- c.Watch(ctx, "m", scope, nil, func() { stands++ }, func(app string, items []configuration.Item) error {
				*list = append(*list, app+" "+items[0].Content)
				return nil
			})
		}
		go watch(configuration.Scope{}, &told)
		synctest.Wait()
		go watch(configuration.Scope{Metadata: map[string]string{capability.InitialKey: "False"}}, &changes)
		enough := errors.New("enough")
		go func() {
			ended <- c.Watch(ctx, "m", configuration.Scope{}, nil, nil, func(string, []configuration.Item) error { return enough })
		}()
		synctest.Wait()
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("a watch whose receiver has enough: %v", err)
		}
		save("2")
		synctest.Wait()
		if fmt.Sprint(told, changes) != "[own 1 own 2] [own 2]" || stands != 2 {
			t.Errorf("told %q and %q, %d watches stand", told, changes, stands)
		}
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("a watch that its caller ends: %v", err)
			}
		}

		// When the process is about to end, watches end, and say why.
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		go watch(configuration.Scope{}, &told)
		running, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { c.Run(running); close(stopped) }()
		synctest.Wait()
		stop()
		<-stopped
		wantError(t, <-ended, capability.Unavailable)
		wantError(t, c.Watch(ctx, "m", configuration.Scope{}, nil, nil, func(string, []configuration.Item) error { return nil }), capability.Unavailable)
		var nobody *capability.Configuration
		nobody.Run(running)
	})
}
