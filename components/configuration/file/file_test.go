package file

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a store that looks often.
func open(t *testing.T, path string, settings ...string) (*Store, error) {
	t.Helper()
	metadata := map[string]any{"path": path, "interval": "10ms"}
	for _, key := range settings {
		metadata[key] = true
	}
	s, err := New(t.Context(), components.Env{AppID: "app", Log: slog.New(slog.DiscardHandler)}, components.Config{Name: "test", Type: Type, Path: "config_store.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*Store), nil
}

func mustOpen(t *testing.T, path string, settings ...string) *Store {
	t.Helper()
	s, err := open(t, path, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "configuration", "local.file")
	for _, name := range []string{"items.yaml", "items.json"} {
		t.Run(name, func(t *testing.T) {
			configurationtest.Run(t, configurationtest.Options{New: func(t *testing.T) configuration.Store {
				return mustOpen(t, filepath.Join(t.TempDir(), name), "create")
			}})
		})
	}
	t.Run("folder", func(t *testing.T) {
		matrix.Backend(t, "configuration", "file") // the other name
		configurationtest.Run(t, configurationtest.Options{
			OneApp: true, NoTags: true,
			New: func(t *testing.T) configuration.Store { return mustOpen(t, t.TempDir()) },
		})
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// all returns every item there is as text.
func all(t *testing.T, s *Store, app string) string {
	t.Helper()
	items, err := s.Get(t.Context(), configuration.Scope{AppID: app, Group: configuration.Any, Label: configuration.Any}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text(items)
}

func text(items []configuration.Item) string {
	var b strings.Builder
	for _, i := range items {
		content := i.Content
		if i.Deleted {
			content = "(deleted)"
		}
		b.WriteString(i.Group + "/" + i.Label + "/" + i.Key + "=" + content + ";")
	}
	return b.String()
}

func TestForms(t *testing.T) {
	for name, tt := range map[string]struct{ file, text, own, other, bad string }{
		"short yaml": {file: "a.yaml", text: "# note\nb: hello\na: 0123\nc: {x: [1, true]}\nd:\ne: |\n  two\n  lines\n", own: "default/default/a=0123;default/default/b=hello;default/default/c={\"x\":[1,true]};default/default/d=;default/default/e=two\nlines\n;"},
		"short json": {file: "a.json", text: `{"b": "hello", "a": 1.50, "c": {"x": [1, true]}, "d": null}`, own: `default/default/a=1.50;default/default/b=hello;default/default/c={"x": [1, true]};default/default/d=;`},
		"long yaml":  {file: "a.yml", text: "items:\n- {key: k, content: 1, group: g, label: l}\n- {key: k, content: x, app_id: other}\n", own: "g/l/k=1;", other: "default/default/k=x;"},
		"long json":  {file: "a.json", text: `{"items": [{"key": "k", "content": "1"}, {"key": "k", "content": "x", "app_id": "other"}]}`, own: "default/default/k=1;", other: "default/default/k=x;"},
		"empty":      {file: "a.yaml", text: " \n"},
		"no yaml":    {file: "a.yaml", text: "a: [1\nb: 2", bad: "a.yaml: not valid YAML"},
		"no json":    {file: "a.json", text: `{"a": `, bad: "a.json: not valid JSON"},
		"list":       {file: "a.yaml", text: "- a\n- b\n", bad: "not valid YAML with keys"},
		"twice":      {file: "a.yaml", text: "items:\n- {key: k, content: 1}\n- {key: k, content: 2, group: default}\n", bad: `the key "k" is there twice in group "default", label "default"`},
		"no key":     {file: "a.yaml", text: "items:\n- {content: 1}\n", bad: "an item has no key"},
		"odd field":  {file: "a.yaml", text: "items:\n- {key: k, contents: 1}\n", bad: "contents"},
		"odd field2": {file: "a.json", text: `{"items": [{"key": "k", "contents": "1"}]}`, bad: "contents"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			write(t, path, tt.text)
			s, err := open(t, path)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want %q with the path", err, tt.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if own, other := all(t, s, "app"), all(t, s, "other"); own != tt.own || other != tt.other {
				t.Errorf("items %q and %q\nwant  %q and %q", own, other, tt.own, tt.other)
			}
		})
	}
}

// A file in the short form stays in it for as long as it can.
func TestWriteKeepsTheForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	write(t, path, "a: 1\n")
	s := mustOpen(t, path)
	save := func(app string, items ...configuration.Item) {
		t.Helper()
		if err := s.Save(t.Context(), app, items, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := func(text string) {
		t.Helper()
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("the file has %q %v, want %q", data, err, text)
		}
	}
	save("app", configuration.Item{Key: "b", Content: "x"})
	want("a: \"1\"\nb: x\n")
	save("other", configuration.Item{Key: "b", Content: "y"})
	want("items:\n    - key: a\n      content: \"1\"\n    - key: b\n      content: x\n    - key: b\n      content: \"y\"\n      app_id: other\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v, want it as it was", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, ""); err == nil || !strings.Contains(err.Error(), "config_store.test.metadata.path: is missing") {
		t.Errorf("no path: %v", err)
	}
	missing := filepath.Join(dir, "none", "a.yaml")
	if _, err := open(t, missing); err == nil || !strings.Contains(err.Error(), "create: true") {
		t.Errorf("missing file: %v", err)
	}
	s := mustOpen(t, missing, "create")
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("missing file that may be: %v", err)
	}
	if err := s.Save(t.Context(), "app", []configuration.Item{{Key: "k"}}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write into a folder that is not there: %v", err)
	}
	write(t, missing, "k: v\n")
	if got := all(t, s, "app"); got != "default/default/k=v;" {
		t.Errorf("a file that was made later: %s", got)
	}
}

// eventually waits until the store says so of its health.
func eventually(t *testing.T, s *Store, ok func(error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok(s.Check(t.Context())) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("Check: %v", s.Check(t.Context()))
		}
	}
}

var everything = configuration.Scope{AppID: "app", Group: configuration.Any, Label: configuration.Any}

func TestOthersChangeTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	write(t, path, "a: 1\nb: 1\n")
	s := mustOpen(t, path)
	told := configurationtest.Follow(t, s, everything)
	told.Want("default/default/a=1", "default/default/b=1", configurationtest.Stands)
	write(t, path, "a: 2\nc: 1\n")
	// Overwriting is not atomic, so an empty file may be seen in between.
	seen := map[string]string{}
	for seen["a"] != "a=2" || seen["b"] != "b=(deleted)" || seen["c"] != "c=1" {
		news := strings.TrimPrefix(told.Next(), "default/default/")
		seen[news[:1]] = news
	}
	// A damaged file changes nothing for watchers; it is told by Check and Get.
	broken := filepath.Join(t.TempDir(), "b")
	write(t, broken, "a: [")
	if err := os.Rename(broken, path); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, func(err error) bool { return err != nil })
	if _, err := s.Get(t.Context(), configuration.Scope{AppID: "app"}, nil); err == nil {
		t.Error("Get of a damaged file succeeds")
	}
	if err := s.Save(t.Context(), "app", []configuration.Item{{Key: "k"}}, nil); err == nil {
		t.Error("Save into a damaged file succeeds, over what somebody meant to write")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
	fixed := filepath.Join(t.TempDir(), "c")
	write(t, fixed, "a: 3\nc: 1\n")
	if err := os.Rename(fixed, path); err != nil {
		t.Fatal(err)
	}
	told.Want("default/default/a=3")
	eventually(t, s, func(err error) bool { return err == nil })
}

// Kubernetes changes a mounted ConfigMap by pointing a link elsewhere.
func TestConfigMapMount(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "..v1", "greeting"), "hello")
	write(t, filepath.Join(dir, "..v2", "greeting"), "goodbye")
	link := func(target string) {
		t.Helper()
		temp := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Symlink(target, temp), os.Rename(temp, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	link("..v1")
	if err := os.Symlink(filepath.Join("..data", "greeting"), filepath.Join(dir, "greeting")); err != nil {
		t.Fatal(err)
	}
	told := configurationtest.Follow(t, mustOpen(t, dir), everything)
	told.Want("default/default/greeting=hello", configurationtest.Stands)
	link("..v2")
	told.Want("default/default/greeting=goodbye")
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), "1")
	write(t, filepath.Join(dir, "group", "key%2F2"), "2")
	write(t, filepath.Join(dir, "group", "label", "key"), "3")
	write(t, filepath.Join(dir, "group", "label", "too", "deep"), "4")
	write(t, filepath.Join(dir, ".hidden"), "5")
	s := mustOpen(t, dir)
	if got := all(t, s, "app"); got != "default/default/key=1;group/default/key/2=2;group/label/key=3;" {
		t.Errorf("items %s", got)
	}
	items := []configuration.Item{{Key: "../../out", Content: "a", Group: "..", Label: "."}, {Key: ".dot", Content: "b"}}
	if err := s.Save(t.Context(), "app", items, nil); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "%2E.", "%2E", "%2E.%2F..%2Fout")); err != nil || string(data) != "a" {
		t.Errorf("an item named like a path: %q %v", data, err)
	}
	if got := all(t, s, "app"); got != ".././../../out=a;default/default/.dot=b;default/default/key=1;group/default/key/2=2;group/label/key=3;" {
		t.Errorf("items %s", got)
	}
	if err := s.Save(t.Context(), "app", []configuration.Item{{Key: "group"}}, nil); !errors.Is(err, configuration.ErrInvalid) {
		t.Errorf("a key that is a folder: %v", err)
	}
	if err := s.Save(t.Context(), "other", []configuration.Item{{Key: "k"}}, nil); !errors.Is(err, configuration.ErrNotSupported) {
		t.Errorf("another application: %v", err)
	}
	write(t, filepath.Join(dir, "default", "key"), "twice")
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "are the same item") {
		t.Errorf("one item in two files: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1", "items:\n- {key: k, content: v, tags: {a: b}}", `{"a": {"b": null}}`, `{"items": [{"key": "k"}]}`, "a: &x [*x]", "a: &x {b: 1}\nc: *x", "? [a]: b"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, isJSON bool) {
		records, _, err := parse(data, isJSON)
		if err != nil && len(records) > 0 {
			t.Errorf("%d items beside the error %v", len(records), err)
		}
	})
}
