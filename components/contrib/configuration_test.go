package contrib_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dapr/components-contrib/configuration/postgres"
	"github.com/dapr/components-contrib/configuration/redis"
	"github.com/jackc/pgx/v5"

	backends "github.com/dapr/components-contrib/configuration"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func newConfiguration(t *testing.T, factory components.Factory[configuration.Store], settings map[string]any) (configuration.Store, error) {
	t.Helper()
	s, err := factory(t.Context(), components.Env{}, components.Config{Path: "config_store.test", Metadata: settings, Rest: map[string]any{"timeout": "2s"}})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

func mustConfiguration(t *testing.T, factory components.Factory[configuration.Store], settings map[string]any) configuration.Store {
	t.Helper()
	s, err := newConfiguration(t, factory, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(s configuration.Store, t *testing.T) error {
	return s.(components.Checker).Check(t.Context())
}

func TestRedisConfiguration(t *testing.T) {
	server := testserver.Redis(t)
	redisStore := contrib.Configuration(redis.NewRedisConfigurationStore, contrib.ConfigurationTraits{})
	settings := map[string]any{"redisHost": server.Addr}
	var mu sync.Mutex // of the server's methods
	command := func(args ...string) {
		mu.Lock()
		defer mu.Unlock()
		server.Command(args...)
	}
	t.Run("Suite", func(t *testing.T) {
		configurationtest.Run(t, configurationtest.Options{
			OneApp: true, NoTags: true, NoEmpty: true, Groups: []string{""}, Labels: []string{""},
			New: func(t *testing.T) configuration.Store {
				command("FLUSHALL")
				return mustConfiguration(t, redisStore, settings)
			},
			Save: func(_ *testing.T, items ...configuration.Item) {
				for _, i := range items {
					command("SET", i.Key, i.Content)
				}
			},
			Delete: func(_ *testing.T, keys ...string) {
				for _, key := range keys {
					command("DEL", key)
				}
			},
		})
	})
	t.Run("VersionsAndPlaces", func(t *testing.T) {
		s := mustConfiguration(t, redisStore, settings)
		command("SET", "versioned", "content||7")
		items, err := s.Get(t.Context(), configuration.Scope{AppID: "any"}, []string{"versioned"})
		if err != nil || len(items) != 1 || items[0].Content != "content" || items[0].Metadata["version"] != "7" {
			t.Errorf("%+v %v", items, err)
		}
		if _, err := s.Get(t.Context(), configuration.Scope{Group: "g"}, nil); !errors.Is(err, configuration.ErrNotSupported) {
			t.Errorf("a group: %v", err)
		}
	})
	t.Run("Faults", func(t *testing.T) {
		s := mustConfiguration(t, redisStore, settings)
		command("SET", "k", "1")
		told := make(chan string, 100)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Watch(ctx, configuration.Scope{}, []string{"k"}, func(c configuration.Change) error {
				for _, i := range c.Items {
					told <- i.Content
				}
				return nil
			})
		}()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		if got := <-told; got != "1" {
			t.Fatalf("told %q", got)
		}
		server.Stop()
		if _, err := s.Get(t.Context(), configuration.Scope{}, []string{"k"}); !errors.Is(err, configuration.ErrUnavailable) {
			t.Errorf("Get while the server is down: %v", err)
		}
		if _, err := newConfiguration(t, redisStore, settings); err == nil {
			t.Error("a store of a server that is down can be made")
		}
		server.Start() // empty
		server.Command("SET", "k", "2")
		timeout, end := context.WithTimeout(t.Context(), 30*time.Second)
		defer end()
		for got := ""; got != "2"; {
			select {
			case got = <-told:
			case <-timeout.Done():
				t.Fatal("what changed while the server was down is not told")
			}
		}
		if err := check(s, t); err != nil {
			t.Errorf("Check: %v", err)
		}
	})
	t.Run("Credentials", func(t *testing.T) {
		locked := testserver.Redis(t, testserver.RedisPassword("right"))
		_, err := newConfiguration(t, redisStore, map[string]any{"redisHost": locked.Addr, "redisPassword": "wrong-pw"})
		if err == nil || strings.Contains(err.Error(), "wrong-pw") {
			t.Errorf("a wrong password: %v", err)
		}
	})
}

func TestPostgresConfiguration(t *testing.T) {
	matrix.Backend(t, "configuration", "postgresql")
	server := testserver.Postgres(t)
	dsn := fmt.Sprintf("postgres://ottavo:%s@%s/postgres?sslmode=disable", testserver.SQLPassword, server.Addr)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var mu sync.Mutex // of conn
	exec := func(t *testing.T, sql string, args ...any) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Error(err)
		}
	}
	exec(t, `CREATE TABLE config (key text PRIMARY KEY, value text NOT NULL, version text NOT NULL, metadata json)`)
	// As Dapr's documentation has it.
	exec(t, `CREATE FUNCTION tell() RETURNS trigger AS $$ DECLARE data json; BEGIN
		IF TG_OP = 'DELETE' THEN data = row_to_json(OLD); ELSE data = row_to_json(NEW); END IF;
		PERFORM pg_notify('config', json_build_object('table', TG_TABLE_NAME, 'action', TG_OP, 'data', data)::text);
		RETURN NULL; END; $$ LANGUAGE plpgsql`)
	exec(t, `CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON config FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION tell()`)
	store := contrib.Configuration(postgres.NewPostgresConfigurationStore, contrib.ConfigurationTraits{OneSubscription: true})
	configurationtest.Run(t, configurationtest.Options{
		OneApp: true, NoTags: true, Groups: []string{""}, Labels: []string{""},
		New: func(t *testing.T) configuration.Store {
			exec(t, `TRUNCATE config`)
			return mustConfiguration(t, store, map[string]any{"connectionString": dsn, "table": "config", "notifyChannel": "config"})
		},
		Save: func(t *testing.T, items ...configuration.Item) {
			for _, i := range items {
				if len(i.Content) > 4000 {
					exec(t, `ALTER TABLE config DISABLE TRIGGER tell`) // a notification has 8000 bytes at most
				}
				exec(t, `INSERT INTO config VALUES ($1, $2, '1', NULL) ON CONFLICT (key) DO UPDATE SET value = $2`, i.Key, i.Content)
				exec(t, `ALTER TABLE config ENABLE TRIGGER tell`)
			}
		},
		Delete: func(t *testing.T, keys ...string) { exec(t, `DELETE FROM config WHERE key = ANY($1)`, keys) },
	})
	if _, err := newConfiguration(t, store, map[string]any{"connectionString": strings.Replace(dsn, testserver.SQLPassword, "wrong-pw", 1), "table": "config"}); err == nil || strings.Contains(err.Error(), "wrong-pw") {
		t.Errorf("a wrong password: %v", err)
	}
}

// lossy is a backend that never tells of anything, and fails when it should.
type lossy struct {
	mu            sync.Mutex
	fail          error
	value         string
	subscriptions int
}

func (*lossy) GetComponentMetadata() metadata.MetadataMap                      { return nil }
func (*lossy) Init(context.Context, backends.Metadata) error                   { return nil }
func (*lossy) Unsubscribe(context.Context, *backends.UnsubscribeRequest) error { return nil }
func (*lossy) Close() error                                                    { return nil }

func (l *lossy) Subscribe(context.Context, *backends.SubscribeRequest, backends.UpdateHandler) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscriptions++
	return "id", l.fail
}

func (l *lossy) Get(context.Context, *backends.GetRequest) (*backends.GetResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &backends.GetResponse{Items: map[string]*backends.Item{"k": {Value: l.value}}}, l.fail
}

func (l *lossy) set(value string, fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value, l.fail = value, fail
}

// What a backend's subscription loses is found within seconds, and it is begun
// anew after an outage.
func TestLossyConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lossy{value: "1"}
		s, err := newConfiguration(t, contrib.Configuration(func(logger.Logger) backends.Store { return l }, contrib.ConfigurationTraits{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_ = s.Watch(ctx, configuration.Scope{}, []string{"k"}, func(c configuration.Change) error {
				told = append(told, c.Items[0].Content)
				return nil
			})
		}()
		time.Sleep(time.Hour)
		l.set("2", nil)
		time.Sleep(11 * time.Second)
		l.set("", errors.New("no connection"))
		time.Sleep(time.Minute)
		if err := check(s, t); !errors.Is(err, configuration.ErrUnavailable) {
			t.Errorf("Check: %v", err)
		}
		l.set("3", nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if fmt.Sprint(told) != "[1 2 3]" {
			t.Errorf("told %v", told)
		}
		if l.subscriptions != 2 {
			t.Errorf("subscribed %d times, want again after the outage", l.subscriptions)
		}
		if err := check(s, t); err != nil {
			t.Errorf("Check: %v", err)
		}
	})
}

// hanging is a backend that does not answer.
type hanging struct{ *lossy }

func (hanging) Get(ctx context.Context, _ *backends.GetRequest) (*backends.GetResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What does not answer within the store's time is late, not merely unavailable; the
// caller's own end is the caller's.
func TestLateConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newConfiguration(t, contrib.Configuration(func(logger.Logger) backends.Store { return hanging{&lossy{}} }, contrib.ConfigurationTraits{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Get(t.Context(), configuration.Scope{}, []string{"k"}); !errors.Is(err, configuration.ErrUnavailable) || !components.IsLate(err) {
			t.Errorf("Get: %v; late: %t", err, components.IsLate(err))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = s.Get(ctx, configuration.Scope{}, []string{"k"}); !errors.Is(err, context.Canceled) || components.IsLate(err) {
			t.Errorf("Get of a caller who has gone: %v", err)
		}
	})
}
