package configurationtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// Options say what to test.
type Options struct {
	// New makes a store over no items of App. It is called once per test; the suite
	// closes the store. Its server, if any, must outlive it.
	New func(t *testing.T) configuration.Store
	// App is the application whose items there are; "" is "app".
	App string
	// Groups and Labels are what the tests use, the defaults first: nil is three
	// groups and two labels of any name. A list of one says that the store does
	// not divide its items this way.
	Groups, Labels []string
	// NoTags says that items have no tags.
	NoTags bool
	// NoEmpty says that an item cannot be without content.
	NoEmpty bool
	// OneApp says that the store has the items of one application only.
	OneApp bool
	// Save and Delete put items in and out at the server itself, for stores that
	// cannot: the suite then checks that they say so.
	Save   func(t *testing.T, items ...configuration.Item)
	Delete func(t *testing.T, keys ...string)
	// Patience is how long a change may take to be told; 0 is a minute.
	Patience time.Duration
}

// Run tests the store that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.App == "" {
		o.App = "app"
	}
	if o.Groups == nil {
		o.Groups = []string{"", "group one", "group-2"}
	}
	if o.Labels == nil {
		o.Labels = []string{"", "prod"}
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	tests := []struct {
		name string
		fn   func(*suite)
	}{
		{"SaveGetDelete", testSaveGetDelete},
		{"Contents", testContents},
		{"Places", testPlaces},
		{"AllInScope", testAllInScope},
		{"DeleteIsExact", testDeleteIsExact},
		{"Tags", testTags},
		{"Applications", testApplications},
		{"InvalidRequests", testInvalidRequests},
		{"NotSupported", testNotSupported},
		{"ItemsAreTheReceivers", testItemsAreTheReceivers},
		{"CancelledContext", testCancelledContext},
		{"Closed", testClosed},
		{"Watch", testWatch},
		{"WatchTags", testWatchTags},
		{"WatchAll", testWatchAll},
		{"WatchEndsWithItsContext", testWatchEnds},
		{"WatchEndsWithAnErrorOfOn", testWatchOnError},
		{"OneWatchEndsOthersGoOn", testOneEndsOthersGoOn},
		{"SlowWatcher", testSlowWatcher},
		{"ManyWatchersManyWriters", testManyWatchers},
		{"CloseEndsWatches", testCloseEndsWatches},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.fn(newSuite(t, o)) })
	}
}

// suite is one test's surroundings. Its helpers end the test when something goes
// wrong that must not.
type suite struct {
	*testing.T
	Options
	ctx   context.Context
	store configuration.Store
}

func newSuite(t *testing.T, o Options) *suite {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*o.Patience)
	t.Cleanup(cancel)
	s := &suite{T: t, Options: o, ctx: ctx, store: o.New(t)}
	t.Cleanup(func() {
		for range 2 {
			if err := s.store.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	return s
}

// scope is the i-th group and label that the tests may use.
func (s *suite) scope(group, label int) configuration.Scope {
	return configuration.Scope{AppID: s.App, Group: s.Groups[group%len(s.Groups)], Label: s.Labels[label%len(s.Labels)]}
}

// item is an item in the default group and label.
func item(key, content string) configuration.Item {
	return configuration.Item{Key: key, Content: content}
}

// at puts an item into a scope.
func at(scope configuration.Scope, i configuration.Item) configuration.Item {
	i.Group, i.Label = scope.Group, scope.Label
	return i
}

func (s *suite) save(items ...configuration.Item) {
	s.Helper()
	if s.Options.Save != nil {
		s.Options.Save(s.T, items...)
		return
	}
	if err := s.store.Save(s.ctx, s.App, items, nil); err != nil {
		s.Fatalf("Save: %v", err)
	}
}

func (s *suite) delete(scope configuration.Scope, keys ...string) {
	s.Helper()
	if s.Options.Delete != nil {
		s.Options.Delete(s.T, keys...)
		return
	}
	if err := s.store.Delete(s.ctx, scope, keys); err != nil {
		s.Fatalf("Delete %q: %v", keys, err)
	}
}

func (s *suite) get(scope configuration.Scope, keys ...string) []configuration.Item {
	s.Helper()
	items, err := s.store.Get(s.ctx, scope, keys)
	if err != nil {
		s.Fatalf("Get %q: %v", keys, err)
	}
	for _, i := range items {
		if i.Deleted {
			s.Fatalf("Get returned an item that is deleted: %+v", i)
		}
	}
	return items
}

// texts brings items into a form that can be compared: key=content in their order.
func texts(items []configuration.Item) string {
	var b strings.Builder
	for _, i := range items {
		content := i.Content
		if i.Deleted {
			content = "(deleted)" + content
		}
		fmt.Fprintf(&b, "%s=%s;", i.Key, content)
	}
	return b.String()
}

// want waits until the selected items are these. Get of some stores is behind
// Save a little, where the server has replicas or caches.
func (s *suite) want(want string, scope configuration.Scope, keys ...string) []configuration.Item {
	s.Helper()
	var got []configuration.Item
	s.eventually(func() (bool, string) {
		got = s.get(scope, keys...)
		return texts(got) == want, fmt.Sprintf("items %q in %+v, want %q", texts(got), scope, want)
	})
	return got
}

// eventually asks until the answer is yes.
func (s *suite) eventually(ask func() (bool, string)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, what := ask()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.Fatalf("%s: not within %s", what, s.Patience)
		}
	}
}

func (s *suite) need(has bool, what string) {
	s.Helper()
	if !has {
		s.Skip("SKIP: the store does not have " + what)
	}
}

// writable skips a test that saves through the store, where that cannot.
func (s *suite) writable() { s.Helper(); s.need(s.Options.Save == nil, "Save") }

func tags(of configuration.Item) map[string]string { return maps.Clone(of.Tags) }

func keysOf(items []configuration.Item) []string {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.Key
	}
	slices.Sort(keys)
	return keys
}
