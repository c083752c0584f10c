package nacos

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
	metadata := map[string]any{"list_interval": "50ms"}
	maps.Copy(metadata, changes)
	rest := map[string]any{}
	if timeout, ok := metadata["timeout"]; ok {
		rest["timeout"] = timeout
		delete(metadata, "timeout")
	}
	if addr != "" {
		rest["address"] = []string{strings.TrimPrefix(addr, "http://")}
	}
	s, err := New(t.Context(), components.Env{Log: slog.New(slog.DiscardHandler)}, components.Config{
		Name: "test", Type: Type, Path: "config_store.test", Metadata: metadata, Rest: rest,
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
	matrix.Backend(t, "configuration", "nacos")
	for name, settings := range map[string]map[string]any{
		"public":    nil,
		"namespace": {"namespace_id": "ns-1", "username": "nacos", "password": "right"},
		"signed":    {"namespace_id": "ns-1", "access_key": "ak", "secret_key": "sk"},
	} {
		t.Run(name, func(t *testing.T) {
			configurationtest.Run(t, configurationtest.Options{
				OneApp: true, NoTags: true, NoEmpty: true, Labels: []string{""},
				New: func(t *testing.T) configuration.Store {
					f := newFake(t)
					switch name {
					case "namespace":
						f.tenant, f.password = "ns-1", "right"
					case "signed":
						f.tenant, f.secret = "ns-1", "sk"
					}
					return mustOpen(t, f.URL, settings)
				},
			})
		})
	}
}

func TestPagesAndApplications(t *testing.T) {
	f := newFake(t)
	s := mustOpen(t, f.URL, nil)
	items := make([]configuration.Item, 0, 450)
	for i := range 450 {
		items = append(items, configuration.Item{Key: "k" + strconv.Itoa(1000+i), Content: "v"})
	}
	if err := s.Save(t.Context(), "shop", items, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), configuration.Scope{}, nil); err != nil || len(got) != 450 {
		t.Errorf("%d items, %v", len(got), err)
	}
	if app := f.apps[place{"default", "k1000"}]; app != "shop" {
		t.Errorf("written for application %q", app)
	}
	page := func(number, size string) ([]configuration.Item, error) {
		return s.Get(t.Context(), configuration.Scope{Metadata: map[string]string{"PageNo": number, "PageSize": size}}, nil)
	}
	if got, err := page("3", "20"); err != nil || len(got) != 20 || got[0].Key != "k1040" {
		t.Errorf("page 3: %v %v", got, err)
	}
	if _, err := page("0", ""); !errors.Is(err, configuration.ErrInvalid) {
		t.Errorf("page 0: %v", err)
	}
	for _, bad := range []configuration.Item{{Key: "k"}, {Key: "a\x01b", Content: "v"}} {
		if err := s.Save(t.Context(), "", []configuration.Item{bad}, nil); !errors.Is(err, configuration.ErrInvalid) {
			t.Errorf("Save of %q: %v", bad.Key, err)
		}
	}
}

func TestEndPoint(t *testing.T) {
	f := newFake(t)
	f.set("default", "k", "v")
	s := mustOpen(t, "", map[string]any{"end_point": strings.TrimPrefix(f.URL, "http://")})
	if got, err := s.Get(t.Context(), configuration.Scope{}, []string{"k"}); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := open(t, "", map[string]any{"end_point": "127.0.0.1:1"}); !errors.Is(err, configuration.ErrUnavailable) {
		t.Errorf("a list that is not there: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for want, changes := range map[string]map[string]any{
		"config_store.test.address: is missing":                 nil,
		"config_store.test.metadata.password: is missing":       {"end_point": "h", "username": "u"},
		"config_store.test.metadata.access_key: is missing":     {"end_point": "h", "secret_key": "s"},
		`config_store.test.metadata.end_point: "ftp://x" is no`: {"end_point": "ftp://x"},
	} {
		if _, err := open(t, "", changes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	logger(log, "error").With("a", 1).WithGroup("g").Warn("unwanted")
	logger(log, "error").With("a", 1).WithGroup("g").Error("wanted")
	logger(log, "").Debug("all")
	logger(nil, "debug").Error("nowhere")
	if got := out.String(); strings.Contains(got, "unwanted") || !strings.Contains(got, "wanted") || !strings.Contains(got, "all") {
		t.Error(got)
	}
}

func TestCredentials(t *testing.T) {
	f := newFake(t)
	f.password = "right"
	for name, changes := range map[string]map[string]any{
		"none":  nil,
		"wrong": {"username": "nacos", "password": "wrong-pw"},
	} {
		if _, err := open(t, f.URL, changes); !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-pw") {
			t.Errorf("%s: %v, want ErrDenied without the password", name, err)
		}
	}
	s := mustOpen(t, f.URL, map[string]any{"username": "nacos", "password": "right"})
	f.mu.Lock()
	f.tokens += 10 // the server forgot the tokens it gave
	f.mu.Unlock()
	if err := s.Save(t.Context(), "", []configuration.Item{{Key: "k", Content: "v"}}, nil); err != nil {
		t.Errorf("with a token that expired: %v", err)
	}
	f.mu.Lock()
	f.password, f.secret = "", "sk"
	f.mu.Unlock()
	if _, err := open(t, f.URL, map[string]any{"access_key": "ak", "secret_key": "wrong-sk"}); !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-sk") {
		t.Errorf("a wrong signature: %v", err)
	}
}

// A connection that breaks, and polls that end without anything, lose no change.
func TestNoChangeIsMissed(t *testing.T) {
	for name, keys := range map[string][]string{"by keys": {"a", "b", "new2", "new3"}, "all": nil} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hold = 50 * time.Millisecond
			f.set("default", "a", "1")
			f.set("default", "b", "1")
			link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
			s := mustOpen(t, link.Addr, nil)
			told := configurationtest.Follow(t, s, configuration.Scope{}, keys...)
			told.Want("default//a=1", "default//b=1", configurationtest.Stands)
			for _, round := range []string{"2", "3"} {
				link.Cut()
				f.set("default", "a", "lost")
				f.set("default", "a", round)
				f.set("default", "b", "")
				f.set("default", "new"+round, "1")
				if err := s.Check(t.Context()); !errors.Is(err, configuration.ErrUnavailable) {
					t.Errorf("Check while Nacos is down: %v", err)
				}
				link.Mend()
				told.Want("default//a="+round, "default//b=(deleted)", "default//new"+round+"=1")
				f.set("default", "b", "1")
				told.Want("default//b=1")
			}
		})
	}
}

func TestFaults(t *testing.T) {
	f := newFake(t)
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
	failing := func() { f.mu.Lock(); f.fail = 500; f.mu.Unlock() }
	for name, fault := range map[string]func(){"cut": link.Cut, "hanging": link.Hold, "failing": failing} {
		fault()
		_, err := s.Get(t.Context(), configuration.Scope{}, []string{"k"})
		unavailable(name+": Get", err)
		_, err = s.Get(t.Context(), configuration.Scope{}, nil)
		unavailable(name+": Get of all", err)
		unavailable(name+": Save", s.Save(t.Context(), "", []configuration.Item{{Key: "k", Content: "v"}}, nil))
		unavailable(name+": Delete", s.Delete(t.Context(), configuration.Scope{}, []string{"k"}))
		unavailable(name+": Watch", s.Watch(t.Context(), configuration.Scope{}, nil, func(configuration.Change) error { return nil }))
		unavailable(name+": Check", s.Check(t.Context()))
		link.Mend()
		f.mu.Lock()
		f.fail = 0
		f.mu.Unlock()
		testserver.Eventually(t, testserver.Patience, func() error { return s.Check(t.Context()) })
	}
}

// What was read is there while Nacos is not.
func TestCache(t *testing.T) {
	f := newFake(t)
	f.set("default", "a", "1")
	f.set("default", "b", "1")
	link := testserver.NewLink(t, strings.TrimPrefix(f.URL, "http://"))
	s := mustOpen(t, link.Addr, map[string]any{"cache_dir": t.TempDir()})
	get := func() string {
		t.Helper()
		items, err := s.Get(t.Context(), configuration.Scope{}, []string{"a", "b"})
		if err != nil {
			return err.Error()
		}
		text := ""
		for _, i := range items {
			text += i.Key + "=" + i.Content + ";"
		}
		return text
	}
	if got := get(); got != "a=1;b=1;" {
		t.Fatal(got)
	}
	f.set("default", "a", "2")
	link.Cut()
	if got := get(); got != "a=1;b=1;" {
		t.Errorf("from the cache: %s", got)
	}
	link.Mend()
	f.set("default", "b", "")
	if got := get(); got != "a=2;" {
		t.Errorf("afterwards: %s", got)
	}
	link.Cut()
	if got := get(); !strings.Contains(got, "unavailable") {
		t.Errorf("what was deleted comes back from the cache: %s", got)
	}
}

func FuzzChangedIn(f *testing.F) {
	f.Add("a%02g%01")
	f.Add("a%02g%02t%01b%02g%01\n")
	f.Add("%zz")
	f.Add("\x01\x02")
	f.Fuzz(func(t *testing.T, body string) {
		changed, err := changedIn(body)
		if err != nil && len(changed) > 0 {
			t.Errorf("%v beside %v", changed, err)
		}
		for _, p := range changed {
			if p.key == "" {
				t.Errorf("an item without a key: %v", changed)
			}
		}
	})
}
