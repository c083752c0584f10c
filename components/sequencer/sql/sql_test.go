package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mysqlnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is one of the two, with a server.
type backend struct {
	typ      string
	server   *testserver.Process
	link     *testserver.Link // to it
	make     components.Factory[sequencer.Sequencer]
	metadata func(password string) map[string]any
}

func (b backend) try(ctx context.Context, password string, more map[string]any) (*sequencer.Counted, error) {
	metadata := b.metadata(password)
	for k, v := range more {
		metadata[k] = v
	}
	s, err := b.make(ctx, components.Env{}, components.Config{Name: "test", Type: b.typ, Path: "sequencer.test", Metadata: metadata})
	if err != nil {
		return nil, err
	}
	return s.(*sequencer.Counted), nil
}

func (b backend) new(t *testing.T) *sequencer.Counted {
	t.Helper()
	s, err := b.try(t.Context(), testserver.SQLPassword, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mariaDB(t *testing.T) backend {
	t.Helper()
	matrix.Backend(t, "sequencer", "mysql")
	server := testserver.MariaDB(t)
	db, err := mysqlnode.Open(t.Context(), mysqlnode.Settings{Address: server.Addr, User: "ottavo", Password: testserver.SQLPassword, Database: "mysql"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "CREATE DATABASE ids")
	_, err2 := db.ExecContext(t.Context(), "SET GLOBAL innodb_flush_log_at_trx_commit = 1") // as it is by default
	if err := errors.Join(err, err2, db.Close()); err != nil {
		t.Fatal(err)
	}
	link := testserver.NewLink(t, server.Addr)
	return backend{MySQLType, server, link, NewMySQL, func(password string) map[string]any {
		return map[string]any{"mysqlUrl": link.Addr, "userName": "ottavo", "password": password, "dataBaseName": "ids", "tableName": "sequences"}
	}}
}

func postgres(t *testing.T) backend {
	t.Helper()
	matrix.Backend(t, "sequencer", "postgresql")
	server := testserver.Postgres(t)
	link := testserver.NewLink(t, server.Addr)
	return backend{PostgresType, server, link, NewPostgres, func(password string) map[string]any {
		return map[string]any{"connectionString": fmt.Sprintf("postgres://ottavo:%s@%s/postgres?sslmode=disable", password, link.Addr), "tableName": "public.Sequences"}
	}}
}

func TestMariaDB(t *testing.T)    { suite(t, mariaDB(t)) }
func TestPostgreSQL(t *testing.T) { suite(t, postgres(t)) }

func suite(t *testing.T, b backend) {
	sequencertest.Run(t, sequencertest.Options{Ids: 600, New: func(t *testing.T) sequencer.Sequencer { return b.new(t) }})
	t.Run("Faults", func(t *testing.T) { faults(t, b) })
}

func faults(t *testing.T, b backend) {
	if _, err := b.try(t.Context(), "wrong-one", nil); err == nil || strings.Contains(err.Error(), "wrong-one") || !strings.Contains(err.Error(), strings.Split(b.link.Addr, ":")[1]) {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := b.try(t.Context(), testserver.SQLPassword, map[string]any{"tableName": "a`b\"; DROP"}); err == nil || !strings.Contains(err.Error(), "sequencer.test.metadata.tableName") {
		t.Errorf("a bad name: %v", err)
	}
	s := b.new(t)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	before, err := s.Next(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context(), strings.Repeat("k", maxKey+1)); !errors.Is(err, sequencer.ErrInvalid) {
		t.Errorf("a long key: %v", err)
	}
	b.link.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: %v", err)
	}
	b.link.Mend()
	b.server.Stop()
	if _, err := s.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), strings.Split(b.link.Addr, ":")[1]) {
		t.Errorf("down: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	if _, err := b.try(t.Context(), testserver.SQLPassword, nil); err == nil || !strings.Contains(err.Error(), "cannot connect") {
		t.Errorf("down at the start: %v", err)
	}
	b.server.Start()
	ctx, cancel = context.WithTimeout(t.Context(), testserver.Patience)
	defer cancel()
	for {
		id, err := s.Next(ctx, "k")
		if err == nil && id > before {
			break
		}
		if err == nil || ctx.Err() != nil {
			t.Fatalf("up again: %d after %d, %v", id, before, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("up again: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	my := backend{typ: MySQLType, make: NewMySQL, metadata: func(string) map[string]any { return map[string]any{} }}
	pg := backend{typ: PostgresType, make: NewPostgres, metadata: my.metadata}
	for text, call := range map[string]func() (*sequencer.Counted, error){
		"metadata.mysqlUrl":         func() (*sequencer.Counted, error) { return my.try(t.Context(), "", nil) },
		"no database is named":      func() (*sequencer.Counted, error) { return my.try(t.Context(), "", map[string]any{"mysqlUrl": "x:1"}) },
		"neither host:port":         func() (*sequencer.Counted, error) { return my.try(t.Context(), "", map[string]any{"mysqlUrl": "a@b"}) },
		"metadata.connectionString": func() (*sequencer.Counted, error) { return pg.try(t.Context(), "", nil) },
		"cannot be read": func() (*sequencer.Counted, error) {
			return pg.try(t.Context(), "", map[string]any{"connectionString": "postgres://a:sesame@b:port/"})
		},
	} {
		if _, err := call(); err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v, want %q", err, text)
		}
	}
}
