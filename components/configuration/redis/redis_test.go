package redis

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/go-redis/redis/v8"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-redis looks once a second whether a lost server is back, and notices
		// only then that the client was closed. Contrib's is made of the second one.
		goleak.IgnoreAnyFunction("github.com/go-redis/redis/v8/internal/pool.(*ConnPool).tryDial"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// notes keeps what is logged.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(n.text.String(), text)
}

// open makes a store with settings that name and value follow each other in.
func open(t *testing.T, log *notes, addr string, more ...any) (*Store, error) {
	t.Helper()
	metadata := map[string]any{"redisHost": addr}
	for i := 0; i < len(more); i += 2 {
		metadata[more[i].(string)] = more[i+1]
	}
	env := components.Env{}
	if log != nil {
		env.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	s, err := New(t.Context(), env, components.Config{Name: "test", Type: Type, Path: "config_store.test", Metadata: metadata})
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

func mustOpen(t *testing.T, addr string, more ...any) *Store {
	t.Helper()
	s, err := open(t, nil, addr, more...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t *testing.T, s *Store, items ...configuration.Item) {
	t.Helper()
	if err := s.Save(t.Context(), "any", items, nil); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *Store, scope configuration.Scope, keys ...string) []configuration.Item {
	t.Helper()
	items, err := s.Get(t.Context(), scope, keys)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// raw is a client of the server itself.
func raw(t *testing.T, server *testserver.RedisServer) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

var anywhere = configuration.Scope{AppID: "any"}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "configuration", Type)
	server := testserver.Redis(t)
	configurationtest.Run(t, configurationtest.Options{OneApp: true, New: func(t *testing.T) configuration.Store {
		server.Command("FLUSHALL")
		return mustOpen(t, server.Addr)
	}})
}

// Where the server does not tell of changes, in a cluster and where CONFIG and
// subscribing are forbidden, they are found all the same.
func TestConformanceByPolling(t *testing.T) {
	nodes := testserver.RedisCluster(t, 2)
	t.Run("Cluster", func(t *testing.T) {
		configurationtest.Run(t, configurationtest.Options{OneApp: true, Patience: 20 * time.Second, New: func(t *testing.T) configuration.Store {
			for _, n := range nodes {
				n.Command("FLUSHALL")
			}
			return mustOpen(t, nodes[0].Addr, "redisType", "cluster", "pollInterval", "50ms")
		}})
	})
	t.Run("Forbidden", func(t *testing.T) {
		server := testserver.Redis(t)
		server.Command("ACL", "SETUSER", "default", "-config", "resetchannels")
		configurationtest.Run(t, configurationtest.Options{OneApp: true, Patience: 20 * time.Second, New: func(t *testing.T) configuration.Store {
			server.Command("FLUSHALL")
			return mustOpen(t, server.Addr, "pollInterval", "50ms")
		}})
	})
}

// Keys are Dapr's.
func TestLayout(t *testing.T) {
	server := testserver.Redis(t)
	s, c := mustOpen(t, server.Addr), raw(t, server)
	save(t, s,
		configuration.Item{Key: "plain", Content: "x"},
		configuration.Item{Key: "versioned", Content: "a|b", Metadata: map[string]string{"version": "7"}},
		configuration.Item{Key: "tagged", Content: "y", Tags: map[string]string{"env": "a||b"}},
		configuration.Item{Key: "k||1", Content: "z", Group: "g|%", Label: "l"},
	)
	for key, want := range map[string]string{
		"plain": "x", "versioned": "a|b||7", "tagged": `y||||{"env":"a||b"}`, "ottavo||g%7C%25||l||k||1": "z",
	} {
		if got, err := c.Get(t.Context(), key).Result(); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", key, got, err, want)
		}
	}
	// What others wrote, and what is none of the configuration.
	for key, value := range map[string]string{"dapr": "v||1", "dapr2": "v||1||more", "||odd": "o", "ottavo|||fencing-token": "1", "ottavo||g": "1", "ottavo||%||l||k": "1"} {
		if err := c.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.HSet(t.Context(), "state", "data", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, i := range get(t, s, anywhere) {
		keys = append(keys, i.Key+"="+i.Content+"@"+i.Metadata["version"])
	}
	if got, want := strings.Join(keys, " "), "dapr=v@1 dapr2=v@1 plain=x@ tagged=y@ versioned=a|b@7 ||odd=o@"; got != want {
		t.Errorf("all items: %s, want %s", got, want)
	}
	if got := get(t, s, anywhere, "state", "ottavo||g", "tagged"); len(got) != 1 || !maps.Equal(got[0].Tags, map[string]string{"env": "a||b"}) {
		t.Errorf("by name: %+v", got)
	}
	for _, bad := range []configuration.Item{
		{Key: "k", Content: "a||b"},
		{Key: "k", Content: "a|", Metadata: map[string]string{"version": "1"}},
		{Key: "k", Metadata: map[string]string{"version": "1||2"}},
		{Key: "ottavo||a||b||c"},
		{Key: "ottavo||x"},
	} {
		if err := s.Save(t.Context(), "", []configuration.Item{bad}, nil); !errors.Is(err, configuration.ErrInvalid) {
			t.Errorf("Save of %+v: %v", bad, err)
		}
	}
	if err := s.Delete(t.Context(), anywhere, []string{"ottavo|||fencing-token"}); !errors.Is(err, configuration.ErrInvalid) {
		t.Errorf("Delete of a key of others: %v", err)
	}
}

func TestTimeToLive(t *testing.T) {
	server := testserver.Redis(t)
	s, c := mustOpen(t, server.Addr), raw(t, server)
	told := configurationtest.Follow(t, s, anywhere, "k")
	told.Want(configurationtest.Stands)
	item := []configuration.Item{{Key: "k", Content: "v"}}
	if err := s.Save(t.Context(), "", item, map[string]string{"ttlInSeconds": "100"}); err != nil {
		t.Fatal(err)
	}
	told.Want("//k=v")
	if ttl := c.TTL(t.Context(), "k").Val(); ttl <= 50*time.Second || ttl > 100*time.Second {
		t.Errorf("ttl %s", ttl)
	}
	if err := c.PExpire(t.Context(), "k", time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	told.Want("//k=(deleted)")
	for _, bad := range []string{"0", "-2", "soon", "1.5"} {
		if err := s.Save(t.Context(), "", item, map[string]string{"TTLInSeconds": bad}); !errors.Is(err, configuration.ErrInvalid) {
			t.Errorf("ttlInSeconds %q: %v", bad, err)
		}
	}
	if err := s.Save(t.Context(), "", item, map[string]string{"ttlInSeconds": "-1"}); err != nil || c.TTL(t.Context(), "k").Val() != -1 {
		t.Errorf("for ever: %v", err)
	}
}

// Whatever becomes of the connection, a change that is still in force is told; and
// two stores see each other's.
func TestNoChangeIsMissed(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisArgs("--appendonly", "yes", "--appendfsync", "always"))
	link, c := testserver.NewLink(t, server.Addr), raw(t, server)
	s, other := mustOpen(t, link.Addr), mustOpen(t, server.Addr)
	save(t, s, configuration.Item{Key: "a", Content: "1"}, configuration.Item{Key: "b", Content: "1"})
	all, one, elsewhere := configurationtest.Follow(t, s, anywhere), configurationtest.Follow(t, s, anywhere, "a"), configurationtest.Follow(t, other, anywhere, "a")
	all.Want("//a=1", "//b=1", configurationtest.Stands)
	one.Want("//a=1", configurationtest.Stands)
	elsewhere.Want("//a=1", configurationtest.Stands)
	for mark, fault := range map[string]func(){"cut": link.Cut, "hanging": link.Hold} {
		fault()
		save(t, other, configuration.Item{Key: "a", Content: mark}, configuration.Item{Key: "new " + mark, Content: mark})
		if err := c.Del(t.Context(), "b").Err(); err != nil {
			t.Fatal(err)
		}
		elsewhere.Want("//a=" + mark)
		link.Mend()
		all.Want("//a="+mark, "//b=(deleted)", "//new "+mark+"="+mark)
		one.Want("//a=" + mark)
		save(t, other, configuration.Item{Key: "b", Content: mark})
		all.Want("//b=" + mark)
	}
	// The server is gone for a while, and its settings with it.
	server.Stop()
	server.Start()
	if err := c.Set(t.Context(), "a", "after", 0).Err(); err != nil {
		t.Fatal(err)
	}
	all.Want("//a=after")
	one.Want("//a=after")
	elsewhere.Want("//a=after")
	eventually(t, "the server is not made to tell of keys again", func() bool {
		flags := c.ConfigGet(t.Context(), "notify-keyspace-events").Val()
		return len(flags) == 2 && missingFlags(flags[1].(string)) == ""
	})
}

// The flags that are there stay; and what cannot be set is said.
func TestNotifications(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisArgs("--notify-keyspace-events", "El"))
	c := raw(t, server)
	flags := func() string { return c.ConfigGet(t.Context(), "notify-keyspace-events").Val()[1].(string) }
	log := &notes{}
	s, err := open(t, log, server.Addr, "pollInterval", "1h")
	if err != nil {
		t.Fatal(err)
	}
	if got := flags(); strings.Contains(got, "K") {
		t.Errorf("notifications are turned on before anybody watches: %q", got)
	}
	told := configurationtest.Follow(t, s, anywhere, "k")
	told.Want(configurationtest.Stands)
	eventually(t, "the flags are not set", func() bool { return missingFlags(flags()) == "" })
	if got := flags(); !strings.Contains(got, "E") || !strings.Contains(got, "l") {
		t.Errorf("flags %q: those of others are gone", got)
	}
	save(t, s, configuration.Item{Key: "k", Content: "1"})
	told.Want("//k=1")
	if log.has("WARN") {
		t.Errorf("warned: %s", log.text.String())
	}

	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-config")
	if s, err = open(t, log, server.Addr, "redisUsername", "app", "redisPassword", "pw", "pollInterval", "50ms"); err != nil {
		t.Fatal(err)
	}
	told = configurationtest.Follow(t, s, anywhere, "k")
	told.Want("//k=1", configurationtest.Stands)
	eventually(t, "nothing is said of CONFIG", func() bool { return log.has("does not tell of changes") && log.has("NOPERM") })
	save(t, s, configuration.Item{Key: "k", Content: "2"})
	told.Want("//k=2")
	// It is not known whether it tells of this: it does not.
	server.Command("CONFIG", "SET", "notify-keyspace-events", "")
	save(t, s, configuration.Item{Key: "k", Content: "3"})
	told.Want("//k=3")
}

// What the server tells of keeps nobody from seeing the rest: here it tells of writes,
// which do not end, and not of deletes.
func TestRereadWhileHinted(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisArgs("--notify-keyspace-events", "K$"))
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-config")
	s := mustOpen(t, server.Addr, "redisUsername", "app", "redisPassword", "pw", "pollInterval", "500ms")
	save(t, s, configuration.Item{Key: "a", Content: "1"}, configuration.Item{Key: "b", Content: "1"}, configuration.Item{Key: "noise", Content: "same"})
	told := configurationtest.Follow(t, s, anywhere)
	told.Want("//a=1", "//b=1", "//noise=same", configurationtest.Stands)
	ctx, cancel := context.WithCancel(t.Context())
	c := raw(t, server)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writing.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			_ = c.Set(ctx, "noise", "same", 0).Err()
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	for _, key := range []string{"a", "b"} { // the first may be seen as the subscription stands
		if err := c.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		told.Want("//" + key + "=(deleted)")
	}
}

func TestFlags(t *testing.T) {
	for flags, want := range map[string]string{"": "Kg$xe", "KEA": "", "AE": "K", "Kg$xe": "", "K$": "gxe", "xKlg": "$e"} {
		if got := missingFlags(flags); got != want {
			t.Errorf("%q lacks %q, want %q", flags, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	server := testserver.Redis(t)
	link := testserver.NewLink(t, server.Addr)
	link.Cut()
	unavailable := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, configuration.ErrUnavailable) || !strings.Contains(err.Error(), link.Addr) {
			t.Errorf("%s: %v, want ErrUnavailable with the address", what, err)
		}
	}
	_, err := open(t, nil, link.Addr, "maxRetries", "-1")
	unavailable("down at the start", err)
	link.Mend()
	for name, s := range map[string]*Store{
		"cut": mustOpen(t, link.Addr, "maxRetries", "-1"), "hanging": mustOpen(t, link.Addr, "maxRetries", "-1", "readTimeout", "400ms", "dialTimeout", "400ms"),
	} {
		if name == "cut" {
			link.Cut()
		} else {
			link.Hold()
		}
		_, err := s.Get(t.Context(), anywhere, []string{"k"})
		unavailable(name+": Get", err)
		if components.IsLate(err) != (name == "hanging") {
			t.Errorf("%s: late: %t: %v", name, components.IsLate(err), err)
		}
		unavailable(name+": Save", s.Save(t.Context(), "", []configuration.Item{{Key: "k"}}, nil))
		unavailable(name+": Delete", s.Delete(t.Context(), anywhere, []string{"k"}))
		unavailable(name+": Watch", s.Watch(t.Context(), anywhere, nil, func(configuration.Change) error { return nil }))
		unavailable(name+": Check", s.Check(t.Context()))
		link.Mend()
		eventually(t, name+": health does not come back", func() bool { return s.Check(t.Context()) == nil })
		eventually(t, name+": saving does not come back", func() bool {
			return s.Save(t.Context(), "", []configuration.Item{{Key: "k", Content: name}}, nil) == nil
		})
	}
}

func TestCredentials(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">right", "~app*", "+@all")
	for name, more := range map[string][]any{
		"wrong password": {"redisUsername", "app", "redisPassword", "wrong-pw"},
		"no such user":   {"redisUsername", "nobody", "redisPassword", "wrong-pw"},
	} {
		_, err := open(t, nil, server.Addr, more...)
		if !errors.Is(err, configuration.ErrDenied) || strings.Contains(err.Error(), "wrong-pw") {
			t.Errorf("%s: %v, want ErrDenied without the password", name, err)
		}
	}
	s := mustOpen(t, server.Addr, "redisUsername", "app", "redisPassword", "right")
	save(t, s, configuration.Item{Key: "app1", Content: "v"})
	if err := s.Save(t.Context(), "", []configuration.Item{{Key: "other"}}, nil); !errors.Is(err, configuration.ErrDenied) {
		t.Errorf("Save of a key of others: %v", err)
	}
	if _, err := s.Get(t.Context(), anywhere, []string{"app1", "other"}); !errors.Is(err, configuration.ErrDenied) {
		t.Errorf("Get of a key of others: %v", err)
	}
}

// Health tells what reads, and writes where there were any, would hear.
func TestHealth(t *testing.T) {
	server := testserver.Redis(t)
	server.Command("ACL", "SETUSER", "app", "on", ">pw", "~app*", "+@all")
	server.Command("SET", "app1", "v")
	reader := mustOpen(t, server.Addr, "redisUsername", "app", "redisPassword", "pw", "maxRetries", "-1")
	writer := mustOpen(t, server.Addr, "redisUsername", "app", "redisPassword", "pw", "maxRetries", "-1")
	if err := reader.Check(t.Context()); err != nil {
		t.Errorf("before the first read, with no right to the key of checks: %v", err)
	}
	get(t, reader, anywhere, "app1")
	save(t, writer, configuration.Item{Key: "app2", Content: "v"})
	for _, step := range []struct {
		name          string
		command       []string
		reads, writes string // words of the error; "": healthy
	}{
		{"new", []string{"PING"}, "", ""},
		{"no right to write", []string{"ACL", "SETUSER", "app", "-set"}, "", "NOPERM"},
		{"it is back", []string{"ACL", "SETUSER", "app", "+set"}, "", ""},
		{"no room", []string{"CONFIG", "SET", "maxmemory", "1"}, "", "OOM"},
		{"there is room", []string{"CONFIG", "SET", "maxmemory", "0"}, "", ""},
		{"a replica", []string{"REPLICAOF", "127.0.0.1", "1"}, "", "READONLY"},
		{"a master", []string{"REPLICAOF", "NO", "ONE"}, "", ""},
		{"no right to the keys", []string{"ACL", "SETUSER", "app", "resetkeys", "~other*"}, "NOPERM", "NOPERM"},
		{"they are back", []string{"ACL", "SETUSER", "app", "resetkeys", "~app*"}, "", ""},
	} {
		if reply := server.Command(step.command...); strings.HasPrefix(reply, "-") {
			t.Fatalf("%s: %s", step.name, reply)
		}
		for want, s := range map[*string]*Store{&step.reads: reader, &step.writes: writer} {
			if err := s.Check(t.Context()); (err == nil) != (*want == "") || err != nil && !strings.Contains(err.Error(), *want) {
				t.Errorf("%s: Check says %v, want an error with %q", step.name, err, *want)
			}
		}
	}
	// The key of checks has become something else, as other applications' keys do.
	server.Command("DEL", "app1")
	server.Command("LPUSH", "app1", "v")
	if err := reader.Check(t.Context()); err != nil {
		t.Errorf("the key that was read is a list now: %v", err)
	}
	if got := get(t, writer, anywhere, "app2"); len(got) != 1 || got[0].Content != "v" {
		t.Errorf("checks have changed the item: %+v", got)
	}
	if n := server.Command("DBSIZE"); n != ":2" {
		t.Errorf("checks have made keys: %s", n)
	}
}

func TestSettings(t *testing.T) {
	for want, metadata := range map[string]map[string]any{
		"redisHost: is missing":                {},
		`redisHost: "h:1" has another port`:    {"redisHost": "h:1", "redisPort": "2"},
		"useEntraID: there is no login":        {"redisHost": "h:1", "useEntraID": "true"},
		"useAzureAD: there is no login":        {"redisHost": "h:1", "useAzureAD": true},
		"redisDB: a cluster has no":            {"redisHost": "h:1", "redisType": "cluster", "redisDB": 1},
		"sentinelMasterName: is needed":        {"redisHost": "h:1", "failover": true},
		"failover: sentinels and":              {"redisHost": "h:1", "failover": true, "sentinelMasterName": "m", "redisType": "cluster"},
		"redisHost: 2 addresses for one":       {"redisHost": "h:1,h:2"},
		"enableTLS: is false, but there are":   {"redisHost": "h:1", "clientCert": "x"},
		"enableTLS: clientCert and clientKey:": {"redisHost": "h:1", "enableTLS": true, "clientCert": "x"},
	} {
		_, err := New(t.Context(), components.Env{}, components.Config{Path: "config_store.test", Metadata: metadata})
		if err == nil || !strings.Contains(err.Error(), "config_store.test.metadata."+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	server := testserver.Redis(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	mustOpen(t, host, "redisPort", port, "useEntraID", "false", "redisDB", "3")
}

func TestTLSAndSentinels(t *testing.T) {
	secure := testserver.Redis(t, testserver.RedisTLS())
	save(t, mustOpen(t, secure.Addr, "enableTLS", "true", "caCert", secure.CA), configuration.Item{Key: "k"})
	if _, err := open(t, nil, secure.Addr, "enableTLS", "true"); err == nil || !strings.Contains(err.Error(), "caCert") {
		t.Errorf("an unknown authority: %v", err)
	}
	sentinel := testserver.RedisSentinel(t, testserver.Redis(t), "main")
	s := mustOpen(t, sentinel.Addr, "failover", "true", "sentinelMasterName", "main")
	told := configurationtest.Follow(t, s, anywhere, "k")
	told.Want(configurationtest.Stands)
	save(t, s, configuration.Item{Key: "k", Content: "1"})
	told.Want("//k=1")
}

func FuzzLayout(f *testing.F) {
	for _, seed := range []string{"a", "a||b", "a||b||{\"x\":\"y\"}", "ottavo||g||l||k", "ottavo||%7C||||k", "|", "a|||1", "ottavo|||health"} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, key, group, value string) {
		if item, ok := itemAt(key); ok && keyOf(item.Group, item.Label, item.Key) != key {
			t.Errorf("%q is read as %+v", key, item)
		}
		decode(value)
		item := configuration.Item{Key: key, Group: group, Label: value, Content: value, Tags: map[string]string{"k": strings.ToValidUTF8(value, "")}}
		name, text, err := encode(item)
		if err != nil {
			return
		}
		back, ok := itemAt(name)
		if back = fill(back, text); !ok || back.Key != key || back.Group != group || back.Label != value || back.Content != value || !maps.Equal(back.Tags, item.Tags) {
			t.Errorf("%+v became %q = %q, and that %+v", item, name, text, back)
		}
	})
}
