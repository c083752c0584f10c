package apollo

import (
	"errors"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a store of the fake behind addr; with changes the settings differ, also
// the one beside the metadata, timeout.
func open(t *testing.T, addr string, changes map[string]any) (*Store, error) {
	t.Helper()
	metadata := map[string]any{
		"app_id": fakeApp, "cluster": "default", "namespace_name": "application,other,third.ns", "is_backup_config": "false",
		"open_api_token": fakeToken, "open_api_user": fakeUser, "open_api_address": addr,
	}
	maps.Copy(metadata, changes)
	rest := map[string]any{"address": []string{addr}}
	if timeout, ok := metadata["timeout"]; ok {
		rest["timeout"] = timeout
		delete(metadata, "timeout")
	}
	s, err := New(t.Context(), components.Env{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, components.Config{
		Name: "test", Type: Type, Path: "config_store.test", Metadata: metadata,
		Rest: rest,
	})
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

func mustOpen(t *testing.T, addr string, changes map[string]any) *Store {
	t.Helper()
	var s *Store
	testserver.Eventually(t, testserver.Patience, func() (err error) { // its timeout may be short
		s, err = open(t, addr, changes)
		return err
	})
	return s
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "configuration", "apollo")
	for name, old := range map[string]bool{"new version": false, "old version": true} {
		t.Run(name, func(t *testing.T) {
			configurationtest.Run(t, configurationtest.Options{
				OneApp: true, Groups: []string{"", "other", "third.ns"},
				New: func(t *testing.T) configuration.Store {
					f := newFake(t, "application", "other", "third.ns")
					f.oldVersion, f.secret = old, "s3cret"
					return mustOpen(t, f.URL, map[string]any{"secret": "s3cret"})
				},
			})
		})
	}
}

var anyScope = configuration.Scope{Group: configuration.Any, Label: configuration.Any}

// What others write at the portal is read, and what is written here is there as
// Layotto has it.
func TestLayout(t *testing.T) {
	f := newFake(t, "application", "other")
	f.publish("application", map[string]any{"a": "1", "a@$prod": "2"})
	f.publish(tagsNamespace, map[string]any{"application@$a@$prod": `{"env":"prod"}`, "application@$a": "not json"})
	f.publish("third.ns", nil)
	f.publish("doc.yaml", map[string]any{"content": "server:\n  port: 80\n  Name: x\nlist: [1, a]\nnone: {}\n"})
	s := mustOpen(t, f.URL, map[string]any{"namespace_name": "application,doc.yaml"})
	items, err := s.Get(t.Context(), anyScope, nil)
	if err != nil || len(items) != 6 || items[0].Key != "a" || items[0].Label != "" || items[0].Tags != nil ||
		items[1].Label != "prod" || items[1].Tags["env"] != "prod" || items[2].Content != `[1,"a"]` || items[3].Content != "{}" || items[4].Key != "server.Name" || items[5].Content != "80" {
		t.Errorf("items %+v %v", items, err)
	}
	err = s.Save(t.Context(), "ignored", []configuration.Item{
		{Key: "k", Content: "v", Label: "l", Tags: map[string]string{"x": "y"}}, {Key: "with/slash %", Content: "w", Group: "other"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	got := []string{f.namespaces["application"].released["k@$l"], f.namespaces["other"].released["with/slash %"], f.namespaces[tagsNamespace].released["application@$k@$l"]}
	f.mu.Unlock()
	if strings.Join(got, "|") != `v|w|{"x":"y"}` {
		t.Errorf("at Apollo: %q", got)
	}
	for _, bad := range []configuration.Item{{Key: "k@$l"}, {Key: "k", Label: "a@$b"}, {Key: "k", Group: "none"}} {
		if err := s.Save(t.Context(), "", []configuration.Item{bad}, nil); !errors.Is(err, configuration.ErrInvalid) {
			t.Errorf("Save of %+v: %v", bad, err)
		}
	}
}

func TestWriteFailures(t *testing.T) {
	f := newFake(t, "application")
	for status, want := range map[int]error{400: nil, 401: configuration.ErrDenied, 403: configuration.ErrDenied, 500: configuration.ErrUnavailable} {
		s := mustOpen(t, f.URL, nil)
		item := []configuration.Item{{Key: "k", Content: strconv.Itoa(status)}}
		f.mu.Lock()
		f.failWrites = status
		f.mu.Unlock()
		err := s.Save(t.Context(), "", item, nil)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), "cannot write") {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
		f.mu.Lock()
		f.failWrites = 0
		f.mu.Unlock()
		if err := s.Save(t.Context(), "", item, nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	denied := mustOpen(t, f.URL, map[string]any{"open_api_token": "wrong-token"})
	if err := denied.Save(t.Context(), "", []configuration.Item{{Key: "k", Content: "w"}}, nil); !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("a wrong token: %v", err)
	}
	readOnly := mustOpen(t, f.URL, map[string]any{"open_api_address": "", "open_api_token": "", "open_api_user": ""})
	if err := readOnly.Save(t.Context(), "", []configuration.Item{{Key: "k", Content: "w"}}, nil); !errors.Is(err, configuration.ErrNotSupported) || !strings.Contains(err.Error(), "open_api_address") {
		t.Errorf("without the open API: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for want, changes := range map[string]map[string]any{
		"config_store.test.metadata.app_id: is missing":         {"app_id": ""},
		"config_store.test.metadata.open_api_token: is missing": {"open_api_token": ""},
		"config_store.test.metadata.open_api_user: is missing":  {"open_api_user": ""},
		"config_store.test.metadata.open_api_address:":          {"open_api_address": "http://a b"},
	} {
		if _, err := open(t, "127.0.0.1:1", changes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := open(t, "ftp://x", nil); err == nil || !strings.Contains(err.Error(), `config_store.test.address[0]: "ftp://x" is no address`) {
		t.Errorf("an odd address: %v", err)
	}
}

func TestSecret(t *testing.T) {
	f := newFake(t, "application")
	f.secret = "right"
	for _, secret := range []string{"", "wrong-secret"} {
		if _, err := open(t, f.URL, map[string]any{"secret": secret}); !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("secret %q: %v, want ErrDenied without it", secret, err)
		}
	}
}

// A connection that breaks, and polls that end without anything, lose no change.
func TestNoChangeIsMissed(t *testing.T) {
	f := newFake(t, "application", "other", "third.ns")
	f.hold = 50 * time.Millisecond
	f.publish("application", map[string]any{"a": "1", "b": "1"})
	link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
	s := mustOpen(t, link.Addr, nil)
	told := configurationtest.Follow(t, s, anyScope)
	told.Want("application//a=1", "application//b=1", configurationtest.Stands)
	f.publish("other", map[string]any{"x": "1"}) // the first release there
	told.Want("other//x=1")
	for _, round := range []string{"2", "3"} {
		link.Cut()
		f.publish("application", map[string]any{"a": "lost", "c" + round: "1"})
		f.publish("application", map[string]any{"a": round, "b": nil})
		if err := s.Check(t.Context()); !errors.Is(err, configuration.ErrUnavailable) {
			t.Errorf("Check while Apollo is down: %v", err)
		}
		link.Mend()
		told.Want("application//a="+round, "application//b=(deleted)", "application//c"+round+"=1")
		f.publish("application", map[string]any{"b": "1"})
		told.Want("application//b=1")
	}
	f.publish(tagsNamespace, map[string]any{"application@$a": `{"env":"prod"}`})
	told.Want("application//a=3") // its tags changed
}

func TestFaults(t *testing.T) {
	f := newFake(t, "application")
	link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
	unavailable := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, configuration.ErrUnavailable) || !strings.Contains(err.Error(), link.Addr) {
			t.Errorf("%s: %v, want ErrUnavailable with the address", what, err)
		}
	}
	link.Cut()
	_, err := open(t, link.Addr, nil)
	unavailable("down at the start", err)
	link.Mend()
	s := mustOpen(t, link.Addr, map[string]any{"timeout": "1"})
	for name, fault := range map[string]func(){"cut": link.Cut, "hanging": link.Hold} {
		fault()
		_, err := s.Get(t.Context(), configuration.Scope{}, []string{"k"})
		unavailable(name+": Get", err)
		unavailable(name+": Save", s.Save(t.Context(), "", []configuration.Item{{Key: "k"}}, nil))
		unavailable(name+": Watch", s.Watch(t.Context(), configuration.Scope{}, nil, func(configuration.Change) error { return nil }))
		unavailable(name+": Check", s.Check(t.Context()))
		link.Mend()
		testserver.Eventually(t, testserver.Patience, func() error { return s.Check(t.Context()) })
	}
	f.Close()
	unavailable("gone", s.Check(t.Context()))
}

// What was read last is there while Apollo is not, even at the start.
func TestBackup(t *testing.T) {
	f := newFake(t, "application", "other", "third.ns")
	f.publish("application", map[string]any{"a": "1"})
	f.publish(tagsNamespace, map[string]any{"application@$a": `{"env":"prod"}`})
	link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
	settings := map[string]any{"is_backup_config": true, "backup_config_path": t.TempDir()}
	s := mustOpen(t, link.Addr, settings)
	link.Cut()
	for i := range 2 {
		items, err := s.Get(t.Context(), anyScope, nil)
		if err != nil || len(items) != 1 || items[0].Content != "1" || items[0].Tags["env"] != "prod" {
			t.Fatalf("store %d: %+v %v", i, items, err)
		}
		if err := s.Check(t.Context()); !errors.Is(err, configuration.ErrUnavailable) {
			t.Errorf("Check: %v", err)
		}
		s = mustOpen(t, link.Addr, settings)
	}
	told := configurationtest.Follow(t, s, anyScope)
	told.Want("application//a=1", configurationtest.Stands)
	f.publish("application", map[string]any{"a": "2"})
	link.Mend()
	told.Want("application//a=2")
}

// With several services the next one answers for one that is down.
func TestSeveralServices(t *testing.T) {
	f := newFake(t, "application")
	f.publish("application", map[string]any{"a": "1"})
	link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
	s, err := New(t.Context(), components.Env{}, components.Config{
		Path: "config_store.test", Metadata: map[string]any{"app_id": fakeApp, "is_backup_config": false},
		Rest: map[string]any{"address": []string{link.Addr, f.URL}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	link.Cut()
	for range 3 {
		if items, err := s.Get(t.Context(), configuration.Scope{}, nil); err != nil || len(items) != 1 {
			t.Fatal(items, err)
		}
	}
}

func FuzzItems(f *testing.F) {
	f.Add("k@$l", "v", `{"a":"b"}`)
	f.Add("@$", "", "null")
	f.Add("a@$b@$c", "x", "{")
	f.Fuzz(func(t *testing.T, name, content, tags string) {
		got := items("ns", map[string]string{name: content}, map[string]string{tagKey("ns", name): tags})
		if len(got) != 1 || got[0].Content != content {
			t.Fatalf("%+v", got)
		}
		// Where an item was read, it is written.
		if again := withLabel(got[0].Key, got[0].Label); again != name && again+separator != name {
			t.Errorf("%q is read as key %q, label %q, which is %q", name, got[0].Key, got[0].Label, again)
		}
	})
}
