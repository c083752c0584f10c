package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, addr, timeout string, metadata map[string]any) (*Store, error) {
	t.Helper()
	s, err := New(t.Context(), components.Env{Log: slog.New(slog.DiscardHandler)}, components.Config{
		Name: "test", Type: Type, Path: "config_store.test", Metadata: metadata,
		Rest: map[string]any{"address": []string{addr}, "timeout": timeout},
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

func mustOpen(t *testing.T, addr, timeout string) *Store {
	t.Helper()
	var s *Store
	testserver.Eventually(t, testserver.Patience, func() (err error) { // the timeout may be short
		s, err = open(t, addr, timeout, nil)
		return err
	})
	return s
}

// client is a client of the server itself.
func client(t *testing.T, server *etcd.Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Addr}, DialTimeout: testserver.Patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return c
}

// app is the application of the tests about rows.
var app = configuration.Scope{AppID: "app"}

func save(t *testing.T, s *Store, items ...configuration.Item) {
	t.Helper()
	if err := s.Save(t.Context(), "app", items, nil); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "configuration", "etcd")
	server := etcd.Start(t)
	raw := client(t, server)
	configurationtest.Run(t, configurationtest.Options{App: "app", New: func(t *testing.T) configuration.Store {
		if _, err := raw.Delete(t.Context(), "/", clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		s, err := open(t, "http://"+server.Addr, "5", nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}

// Rows are Layotto's.
func TestLayout(t *testing.T) {
	server := etcd.Start(t)
	s, raw := mustOpen(t, server.Addr, "30s"), client(t, server)
	rows := func() string {
		t.Helper()
		got, err := raw.Get(t.Context(), "/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, kv := range got.Kvs {
			b.WriteString(string(kv.Key) + "=" + string(kv.Value) + "\n")
		}
		return b.String()
	}
	save(t, s, configuration.Item{Key: "k", Content: "v", Tags: map[string]string{"env": "prod", "a=b": "c/d"}},
		configuration.Item{Key: "with/slash %2F 100%", Content: "x", Group: "g", Label: "l"})
	if got, want := rows(), "/app/default/default/k=v\n/app/default/default/k/a%3Db=c%2Fd=v\n/app/default/default/k/env=prod=v\n/app/g/l/with%2Fslash %252F 100%=x\n"; got != want {
		t.Errorf("rows\n%swant\n%s", got, want)
	}
	save(t, s, configuration.Item{Key: "k", Content: "w", Tags: map[string]string{"env": "prod"}})
	if got, want := rows(), "/app/default/default/k=w\n/app/default/default/k/env=prod=w\n/app/g/l/with%2Fslash %252F 100%=x\n"; got != want {
		t.Errorf("rows\n%swant\n%s", got, want)
	}
	for row, value := range map[string]string{
		"/app/default/default/theirs": "1", "/app/default/default/theirs/prod": "1", // what Layotto writes for a tag
		"/app/default/default/orphan/prod": "1", "/app/short": "1", "/app/default/default/a/b/c": "1", "/application/default/default/k": "1",
	} {
		if _, err := raw.Put(t.Context(), row, value); err != nil {
			t.Fatal(err)
		}
	}
	items, err := s.Get(t.Context(), configuration.Scope{AppID: "app", Group: configuration.Any, Label: configuration.Any}, nil)
	if err != nil || len(items) != 3 || items[1].Key != "theirs" || items[1].Tags["prod"] != "prod" || items[2].Key != "with/slash %2F 100%" {
		t.Errorf("items %+v %v", items, err)
	}
	if err := s.Delete(t.Context(), app, []string{"k", "theirs", "theirs"}); err != nil {
		t.Fatal(err)
	}
	if got := rows(); strings.Contains(got, "/app/default/default/k") || strings.Contains(got, "theirs") || !strings.Contains(got, "orphan") {
		t.Errorf("rows after delete\n%s", got)
	}
	if err := s.Save(t.Context(), "", []configuration.Item{{Key: "k"}}, nil); !errors.Is(err, configuration.ErrInvalid) {
		t.Errorf("no application: %v", err)
	}
}

func TestManyItems(t *testing.T) {
	s := mustOpen(t, etcd.Start(t).Addr, "30s")
	items := make([]configuration.Item, 300)
	keys := make([]string, len(items))
	for i := range items {
		keys[i] = rand.Text()
		items[i] = configuration.Item{Key: keys[i], Content: keys[i], Tags: map[string]string{"n": keys[i]}}
	}
	save(t, s, append(items, items[0])...)
	for _, ask := range [][]string{keys, nil} {
		if got, err := s.Get(t.Context(), app, ask); err != nil || len(got) != 300 || got[7].Tags["n"] != got[7].Key {
			t.Fatalf("%d items, %v", len(got), err)
		}
	}
	if err := s.Delete(t.Context(), app, keys); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), app, nil); err != nil || len(got) != 0 {
		t.Fatalf("%d items left, %v", len(got), err)
	}
	tagged := configuration.Item{Key: "k", Tags: map[string]string{}}
	for range 60 {
		tagged.Tags[rand.Text()] = ""
	}
	if err := s.Save(t.Context(), "app", []configuration.Item{tagged}, nil); !errors.Is(err, configuration.ErrInvalid) {
		t.Errorf("too many tags: %v", err)
	}
}

// After a broken connection the watch goes on where it was; when etcd no longer
// has what happened meanwhile, it reads everything again.
func TestNoChangeIsMissed(t *testing.T) {
	server := etcd.Start(t)
	link, raw := testserver.NewLink(t, server.Addr), client(t, server)
	s := mustOpen(t, link.Addr, "30s")
	save(t, s, configuration.Item{Key: "a", Content: "1"}, configuration.Item{Key: "b", Content: "1"}, configuration.Item{Key: "c", Content: "1"})
	told := configurationtest.Follow(t, s, app)
	in := func(text string) string { return "default/default/" + text }
	told.Want(in("a=1"), in("b=1"), in("c=1"), configurationtest.Stands)

	put := func(key, value string) int64 {
		t.Helper()
		resp, err := raw.Put(t.Context(), "/app/default/default/"+key, value)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Revision
	}
	for round, compact := range []bool{false, true} {
		mark := []string{"2", "3"}[round]
		link.Cut()
		put("a", mark)
		put("new"+mark, mark)
		if _, err := raw.Delete(t.Context(), "/app/default/default/b"); err != nil {
			t.Fatal(err)
		}
		if last := put("c", mark); compact {
			if _, err := raw.Compact(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
		link.Mend()
		told.Want(in("a="+mark), in("b=(deleted)"), in("c="+mark), in("new"+mark+"="+mark))
		put("b", "back")
		told.Want(in("b=back"))
	}
	// The server is gone for a while.
	server.Stop()
	server.Start()
	put("a", "after")
	told.Want(in("a=after"))
}

func TestFaults(t *testing.T) {
	server := etcd.Start(t)
	link := testserver.NewLink(t, server.Addr)
	unavailable := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, configuration.ErrUnavailable) || !strings.Contains(err.Error(), link.Addr) {
			t.Errorf("%s: %v, want ErrUnavailable with the address", what, err)
		}
	}
	link.Cut()
	_, err := open(t, link.Addr, "0.15", nil)
	unavailable("down at the start", err)
	link.Mend()
	link.Hold()
	for what, credentials := range map[string]map[string]any{"hanging at the start": nil, "hanging when it is to log in": {"username": "root", "password": "sesame"}} {
		_, err = open(t, link.Addr, "0.15", credentials)
		unavailable(what, err)
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error holds the password", what)
		}
	}
	link.Mend()
	s := mustOpen(t, link.Addr, "150ms")
	for name, fault := range map[string]func(){"cut": link.Cut, "hanging": link.Hold} {
		fault()
		_, err := s.Get(t.Context(), app, []string{"k"})
		unavailable(name+": Get", err)
		if late := components.IsLate(err); late != (name == "hanging") {
			t.Errorf("%s: Get: %v; late: %t", name, err, late)
		}
		unavailable(name+": Save", s.Save(t.Context(), "app", []configuration.Item{{Key: "k"}}, nil))
		unavailable(name+": Delete", s.Delete(t.Context(), app, []string{"k"}))
		unavailable(name+": Watch", s.Watch(t.Context(), app, nil, func(configuration.Change) error { return nil }))
		unavailable(name+": Check", s.Check(t.Context()))
		link.Mend()
		testserver.Eventually(t, testserver.Patience, func() error {
			return errors.Join(s.Check(t.Context()), s.Save(t.Context(), "app", []configuration.Item{{Key: "k", Content: name}}, nil))
		})
	}
}

func TestCredentials(t *testing.T) {
	server := etcd.Start(t)
	raw := client(t, server)
	ctx := t.Context()
	_, err1 := raw.UserAdd(ctx, "root", "right")
	_, err2 := raw.UserGrantRole(ctx, "root", "root")
	_, err3 := raw.UserAdd(ctx, "guest", "right")
	_, err4 := raw.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	for name, metadata := range map[string]map[string]any{
		"no credentials": nil,
		"wrong password": {"username": "root", "password": "wrong-pw"},
		"no such user":   {"username": "nobody", "password": "wrong-pw"},
	} {
		_, err := open(t, server.Addr, "30s", metadata)
		if !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-pw") {
			t.Errorf("%s: %v, want ErrDenied without the password", name, err)
		}
	}
	s, err := open(t, server.Addr, "30s", map[string]any{"username": "root", "password": "right"})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, configuration.Item{Key: "k", Content: "v"})
	// One who may not read these rows is told so, and the server counts as up.
	guest, err := open(t, server.Addr, "30s", map[string]any{"username": "guest", "password": "right"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Get(ctx, app, nil); !errors.Is(err, configuration.ErrDenied) {
		t.Errorf("a user without a role: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for want, cfg := range map[string]components.Config{
		"config_store.test.address: is missing": {},
		`config_store.test.timeout: "soon"`:     {Rest: map[string]any{"address": []string{"a:1"}, "timeout": "soon"}},
		"config_store.test.metadata.tlsCa":      {Rest: map[string]any{"address": []string{"a:1"}}, Metadata: map[string]any{"tlsCa": "/none"}},
		"config_store.test.metadata.tlsCert":    {Rest: map[string]any{"address": []string{"a:1"}}, Metadata: map[string]any{"tlsCert": "/none"}},
	} {
		cfg.Path = "config_store.test"
		if _, err := New(t.Context(), components.Env{}, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzRows(f *testing.F) {
	for _, seed := range []string{"a", "a/b", "%2F", "100%", "%25", "é=ü", "%2525%2f"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if key == "" {
			return
		}
		id := configuration.ID{AppID: key, Group: value, Label: key, Key: key}
		r := newRows(key)
		row := rowOf(id)
		got, _ := r.put(row, "content")
		same := got == id
		name, text := tag(tagPart(key, value))
		if !same || name != key || text != value {
			t.Errorf("%q %q: row %q is read as %+v, the tag as %q %q", key, value, row, got, name, text)
		}
		r.put(value, key)
		r.remove(value)
	})
}
