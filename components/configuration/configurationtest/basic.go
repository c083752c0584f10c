package configurationtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func testSaveGetDelete(s *suite) {
	scope := s.scope(0, 0)
	s.want("", scope, "a")
	s.save(item("a", "1"), item("b", "2"))
	s.want("a=1;", scope, "a")
	s.want("a=1;b=2;", scope, "b", "none", "a", "b")
	s.save(item("a", "3"))
	s.want("a=3;b=2;", scope, "a", "b")
	s.delete(scope, "a", "none")
	s.want("b=2;", scope, "a", "b")
	s.delete(scope, "a")
	s.save(item("a", "4"))
	s.want("a=4;", scope, "a")
	if s.Options.Save == nil {
		if err := s.store.Save(s.ctx, s.App, nil, nil); err != nil {
			s.Errorf("Save of no items: %v", err)
		}
		s.delete(scope)
		s.want("a=4;b=2;", scope, "a", "b")
	}
}

func testContents(s *suite) {
	contents := map[string]string{
		"json": `{"a": [1, 2, "x"], "b": null}`, "yaml": "a:\n  - 1\n  - 'x'\n", "unicode": "größe 配置 🙂",
		"spaces": " \t a b ", "url": "a=1&b=2?c#d%20/..", "long": strings.Repeat("0123456789abcdef", 4096),
	}
	if !s.NoEmpty {
		contents["empty"] = ""
	}
	items := make([]configuration.Item, 0, len(contents))
	for key, content := range contents {
		items = append(items, item(key, content))
	}
	s.save(items...)
	keys := slices.Sorted(maps.Keys(contents))
	s.eventually(func() (bool, string) {
		return len(s.get(s.scope(0, 0), keys...)) == len(keys), "not all items"
	})
	for _, got := range s.get(s.scope(0, 0), keys...) {
		if got.Content != contents[got.Key] {
			s.Errorf("item %q has %d bytes %.60q, want %d bytes %.60q", got.Key, len(got.Content), got.Content, len(contents[got.Key]), contents[got.Key])
		}
	}
}

// The same key in other groups and under other labels is another item.
func testPlaces(s *suite) {
	var want []configuration.Scope
	for g := range s.Groups {
		for l := range s.Labels {
			scope := s.scope(g, l)
			want = append(want, scope)
			s.save(at(scope, item("k", "in "+scope.Group+" under "+scope.Label)))
		}
	}
	group, label := s.store.Defaults()
	for i, scope := range want {
		got := s.want("k=in "+scope.Group+" under "+scope.Label+";", scope, "k")[0]
		if full := scope.Or(group, label); got.Group != full.Group || got.Label != full.Label {
			s.Errorf("item of %+v says group %q, label %q", scope, got.Group, got.Label)
		}
		// What is left out and the default's name are the same place.
		s.want(texts([]configuration.Item{got}), scope.Or(group, label), "k")
		if s.Options.Save != nil {
			continue
		}
		s.delete(scope, "k")
		s.want("", scope, "k")
		for _, other := range want[i+1:] {
			s.want("k=in "+other.Group+" under "+other.Label+";", other, "k")
		}
	}
}

func testAllInScope(s *suite) {
	var all int
	for g := range s.Groups {
		for l := range s.Labels {
			s.save(at(s.scope(g, l), item("a", "1")), at(s.scope(g, l), item("b", "2")))
			all += 2
		}
	}
	s.want("a=1;b=2;", s.scope(0, 0))
	s.want("a=1;b=2;", s.scope(0, 0), configuration.Any)
	s.want("a=1;b=2;", s.scope(1, 1))
	everything := configuration.Scope{AppID: s.App, Group: configuration.Any, Label: configuration.Any}
	s.eventually(func() (bool, string) {
		return len(s.get(everything)) == all, "all groups and labels: not all items"
	})
	got := s.get(everything)
	sorted := slices.Clone(got)
	configuration.Sort(sorted)
	if !slices.EqualFunc(got, sorted, func(a, b configuration.Item) bool {
		return a.Group == b.Group && a.Label == b.Label && a.Key == b.Key
	}) {
		s.Errorf("all items are not sorted: %+v", got)
	}
	if n := len(s.get(everything, "a")); n != all/2 {
		s.Errorf("%d items under one key in all groups and labels, want %d", n, all/2)
	}
}

func testDeleteIsExact(s *suite) {
	s.writable()
	s.save(item("key1", "1"), item("key10", "10"), item("key", "0"), item("KEY1", "capitals"))
	s.delete(s.scope(0, 0), "key1")
	s.want("KEY1=capitals;key=0;key10=10;", s.scope(0, 0))
	if len(s.Groups) > 1 {
		s.save(at(s.scope(1, 0), item("key1", "other")))
		s.delete(s.scope(0, 0), "key1", "key")
		s.want("key1=other;", s.scope(1, 0))
	}
}

func testTags(s *suite) {
	s.need(!s.NoTags, "tags")
	tagged := item("k", "1")
	tagged.Tags = map[string]string{"env": "prod", "owner": "a/b = c", "empty": "", "größe": "groß"}
	s.save(tagged, item("plain", "2"))
	got := s.want("k=1;", s.scope(0, 0), "k")[0]
	if !maps.Equal(tags(got), tagged.Tags) {
		s.Errorf("tags %v, want %v", got.Tags, tagged.Tags)
	}
	if got := s.want("plain=2;", s.scope(0, 0), "plain")[0]; len(got.Tags) != 0 {
		s.Errorf("an item saved without tags has %v", got.Tags)
	}
	tagged.Tags = map[string]string{"env": "test"}
	s.save(tagged)
	s.eventually(func() (bool, string) {
		got = s.get(s.scope(0, 0), "k")[0]
		return maps.Equal(tags(got), tagged.Tags), "tags that were replaced"
	})
	// They go with the item.
	s.delete(s.scope(0, 0), "k")
	s.want("", s.scope(0, 0), "k")
	s.save(item("k", "again"))
	if got := s.want("k=again;", s.scope(0, 0), "k")[0]; len(got.Tags) != 0 {
		s.Errorf("an item made anew has the tags of the old one: %v", got.Tags)
	}
	if all := s.get(s.scope(0, 0)); !slices.Equal(keysOf(all), []string{"k", "plain"}) {
		s.Errorf("tags show as items: %v", keysOf(all))
	}
}

func testApplications(s *suite) {
	s.need(!s.OneApp, "more than one application")
	s.save(item("k", "1"))
	other := configuration.Scope{AppID: s.App + "2"}
	s.want("", other)
	if err := s.store.Save(s.ctx, other.AppID, []configuration.Item{item("k", "2")}, nil); err != nil {
		s.Fatal(err)
	}
	s.want("k=1;", s.scope(0, 0))
	s.want("k=2;", other)
	if err := s.store.Delete(s.ctx, other, []string{"k"}); err != nil {
		s.Fatal(err)
	}
	s.want("k=1;", s.scope(0, 0))
}

func testInvalidRequests(s *suite) {
	s.writable()
	all := configuration.Any
	for _, bad := range []configuration.Item{
		{Content: "no key"}, {Key: all}, {Key: "k", Group: all}, {Key: "k", Label: all},
	} {
		if err := s.store.Save(s.ctx, s.App, []configuration.Item{bad}, nil); !errors.Is(err, configuration.ErrInvalid) {
			s.Errorf("Save of %+v: %v, want ErrInvalid", bad, err)
		}
	}
	s.save(item("k", "1"))
	for _, bad := range []struct {
		scope configuration.Scope
		key   string
	}{
		{s.scope(0, 0), ""},
		{s.scope(0, 0), all},
		{configuration.Scope{AppID: s.App, Group: all}, "k"},
		{configuration.Scope{AppID: s.App, Label: all}, "k"},
	} {
		if err := s.store.Delete(s.ctx, bad.scope, []string{bad.key}); !errors.Is(err, configuration.ErrInvalid) {
			s.Errorf("Delete of %q in %+v: %v, want ErrInvalid", bad.key, bad.scope, err)
		}
	}
	s.want("k=1;", s.scope(0, 0))
}

func testNotSupported(s *suite) {
	unsupported := func(what string, err error) {
		s.Helper()
		if !errors.Is(err, configuration.ErrNotSupported) {
			s.Errorf("%s: %v, want ErrNotSupported", what, err)
		}
	}
	if s.Options.Save != nil {
		unsupported("Save", s.store.Save(s.ctx, s.App, []configuration.Item{item("k", "1")}, nil))
		unsupported("Delete", s.store.Delete(s.ctx, s.scope(0, 0), []string{"k"}))
		return
	}
	if len(s.Labels) == 1 {
		unsupported("Save under a label", s.store.Save(s.ctx, s.App, []configuration.Item{{Key: "k", Content: "1", Label: "some"}}, nil))
	}
	if s.NoTags {
		unsupported("Save with tags", s.store.Save(s.ctx, s.App, []configuration.Item{{Key: "k", Content: "1", Tags: map[string]string{"a": "b"}}}, nil))
	}
	s.want("", s.scope(0, 0), "k")
}

func testItemsAreTheReceivers(s *suite) {
	saved := item("k", "1")
	if !s.NoTags {
		saved.Tags = map[string]string{"a": "b"}
	}
	s.save(saved)
	if saved.Tags != nil {
		saved.Tags["a"] = "changed"
	}
	got := s.want("k=1;", s.scope(0, 0), "k")[0]
	if !s.NoTags && got.Tags["a"] != "b" {
		s.Errorf("the store kept the caller's map: %v", got.Tags)
	}
	for key := range got.Tags {
		got.Tags[key] = "changed"
	}
	if again := s.get(s.scope(0, 0), "k")[0]; !s.NoTags && again.Tags["a"] != "b" {
		s.Errorf("the store handed out its own map: %v", again.Tags)
	}
}

func testCancelledContext(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	ends := func(what string, err error) {
		s.Helper()
		if !errors.Is(err, context.Canceled) {
			s.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	_, err := s.store.Get(ctx, s.scope(0, 0), []string{"k"})
	ends("Get", err)
	if s.Options.Save == nil {
		ends("Save", s.store.Save(ctx, s.App, []configuration.Item{item("k", "1")}, nil))
		ends("Delete", s.store.Delete(ctx, s.scope(0, 0), []string{"k"}))
		s.want("", s.scope(0, 0), "k")
	}
	err = s.store.Watch(ctx, s.scope(0, 0), nil, func(configuration.Change) error {
		s.Error("a watch that has ended is told of something")
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Errorf("Watch: %v, want nil or context.Canceled", err)
	}
}

func testClosed(s *suite) {
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	closed := func(what string, err error) {
		s.Helper()
		if !errors.Is(err, configuration.ErrClosed) {
			s.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	_, err := s.store.Get(s.ctx, s.scope(0, 0), []string{"k"})
	closed("Get", err)
	if s.Options.Save == nil {
		closed("Save", s.store.Save(s.ctx, s.App, []configuration.Item{item("k", "1")}, nil))
		closed("Delete", s.store.Delete(s.ctx, s.scope(0, 0), []string{"k"}))
	}
	closed("Watch", s.store.Watch(s.ctx, s.scope(0, 0), nil, func(configuration.Change) error { return nil }))
}
