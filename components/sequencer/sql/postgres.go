package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// PostgresType is the name of the backend for PostgreSQL in a configuration.
const PostgresType = "postgresql"

// PostgresMetadata is its configuration.
type PostgresMetadata struct {
	// ConnectionString is a URL or a list of settings, as libpq takes them.
	ConnectionString string `json:"connectionString"`
	// TableName is the table, which is made unless it is there; with its schema
	// before it, if that is not the first of the search path.
	TableName string `json:"tableName" default:"layotto_sequencer"`
	sequencer.Common
}

const (
	connectTime = 5 * time.Second
	maxConns    = 10
	maxIdle     = 5 * time.Minute
)

var postgresName = regexp.MustCompile(`^([0-9A-Za-z_]{1,63}\.)?[0-9A-Za-z_]{1,63}$`)

// NewPostgres connects and makes the table unless it is there. The error names the
// server.
func NewPostgres(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m PostgresMetadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	wrong := func(key, message, remedy string) error {
		return decode.Problems{{Path: decode.Join(cfg.SettingsPath(), key), Message: message, Remedy: remedy}}
	}
	if m.ConnectionString == "" {
		return nil, wrong("connectionString", "is missing", `for example "postgres://user:password@localhost:5432/database"`)
	}
	conf, err := pgx.ParseConfig(m.ConnectionString)
	if err != nil { // which may hold the password
		return nil, wrong("connectionString", "cannot be read", `for example "postgres://user:password@localhost:5432/database"`)
	}
	if !postgresName.MatchString(m.TableName) {
		return nil, wrong("tableName", fmt.Sprintf("%q is no name of a table: letters, digits and _, and a schema with a dot before it", m.TableName), "")
	}
	if conf.ConnectTimeout <= 0 || conf.ConnectTimeout > connectTime {
		conf.ConnectTimeout = connectTime
	}
	name := `"` + strings.ReplaceAll(m.TableName, ".", `"."`) + `"`
	t := &table{
		db: stdlib.OpenDB(*conf), dialect: postgresDialect(name),
		explain: func(err error) error {
			if err == nil {
				return nil
			}
			return fmt.Errorf("postgresql %s:%d, database %s: %w", conf.Host, conf.Port, conf.Database, err)
		},
	}
	t.db.SetMaxOpenConns(maxConns)
	t.db.SetMaxIdleConns(maxConns)
	t.db.SetConnMaxIdleTime(maxIdle)
	ctx, cancel := context.WithTimeout(ctx, 2*connectTime)
	defer cancel()
	if err := t.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), t.Close())
	}
	if err := t.makePostgres(ctx, name); err != nil {
		return nil, errors.Join(fmt.Errorf("the table %s: %w", m.TableName, t.explain(err)), t.Close())
	}
	return sequencer.Count(ctx, t), nil
}

// makePostgres makes the table unless it is there; then no right to make tables is
// needed.
func (t *table) makePostgres(ctx context.Context, name string) error {
	probe := func() error {
		_, err := t.db.ExecContext(ctx, "SELECT sequencer_key, sequencer_value FROM "+name+" LIMIT 0")
		return err
	}
	err := probe()
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42P01" {
		return err
	}
	_, err = t.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+name+" (sequencer_key TEXT PRIMARY KEY, sequencer_value BIGINT NOT NULL)")
	if err != nil && probe() == nil { // somebody else has made it at this moment
		return nil
	}
	return err
}

func postgresDialect(name string) dialect {
	add := "INSERT INTO " + name + " AS t (sequencer_key, sequencer_value) VALUES ($1, $2)" +
		" ON CONFLICT (sequencer_key) DO UPDATE SET sequencer_value = t.sequencer_value + EXCLUDED.sequencer_value" +
		" WHERE t.sequencer_value <= $3 RETURNING sequencer_value"
	return dialect{
		add: func(ctx context.Context, db *sql.DB, key string, n, most int64) (number int64, err error) {
			return number, db.QueryRowContext(ctx, add, key, n, most).Scan(&number)
		},
		raise: "INSERT INTO " + name + " AS t (sequencer_key, sequencer_value) VALUES ($1, $2)" +
			" ON CONFLICT (sequencer_key) DO UPDATE SET sequencer_value = GREATEST(t.sequencer_value, EXCLUDED.sequencer_value)",
	}
}
