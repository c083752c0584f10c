package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	contribmysql "github.com/dapr/components-contrib/state/mysql"
	driver "github.com/go-sql-driver/mysql"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// maxKey is how many bytes a key may have.
const maxKey = 1024

// New returns the constructor of stores. It connects to the server, and makes
// database and tables that are not there.
func New() components.Factory[state.Store] {
	return contrib.State(contribmysql.NewMySQLStateStore, contrib.StateTraits{
		ETag: contrib.UUIDETag, Key: checkKey, BulkGet: true, DeletesExpired: true, Again: again, Prepare: prepare,
	})
}

func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("it has %d bytes, at most %d are possible", len(key), maxKey)
	}
	return nil
}

// again: the server ended one of two transactions that waited for each other (1213),
// or one did not come to its number for row_id meanwhile (1467).
func again(err error) bool {
	e, ok := errors.AsType[*driver.MySQLError](err)
	return ok && (e.Number == 1213 || e.Number == 1467)
}

// identifier is what contrib takes as a name of a table or a database.
var identifier = regexp.MustCompile(`^[0-9A-Za-z_]+$`)

// property returns a setting; keys are compared without case.
func property(properties map[string]string, name, otherwise string) (key, value string) {
	for k, v := range properties {
		if strings.EqualFold(k, name) && v != "" {
			return k, v
		}
	}
	return name, otherwise
}

// prepare makes the table of states, unless it is there.
func prepare(ctx context.Context, properties map[string]string) (map[string]string, error) {
	key, connection := property(properties, "connectionString", "")
	_, schema := property(properties, "schemaName", "dapr_state_store")
	_, table := property(properties, "tableName", "state")
	_, pem := property(properties, "pemPath", "")
	if connection == "" || !identifier.MatchString(schema) || !identifier.MatchString(table) || pem != "" {
		// contrib says what is wrong; with a certificate of its own it connects in its
		// own way, and makes its own table.
		return properties, nil
	}
	config, err := driver.ParseDSN(connection)
	if err != nil {
		return nil, fmt.Errorf("connectionString: %w (want user:password@tcp(host:port)/)", err)
	}
	// contrib reads times as UTC; and it cuts the text at every "/".
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	if _, set := config.Params["time_zone"]; !set {
		config.Params["time_zone"] = "'+00:00'"
	}
	config.DBName = ""
	out := maps.Clone(properties)
	if !strings.Contains(strings.Replace(config.FormatDSN(), "/", "", 1), "/") {
		out[key] = config.FormatDSN()
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connectionString: %w", err)
	}
	db := sql.OpenDB(connector)
	if err = makeTable(ctx, db, schema, table); err != nil {
		err = fmt.Errorf("MySQL at %s: %w", config.Addr, err)
	}
	return out, errors.Join(err, db.Close())
}

// makeTable makes what contrib would make, with other keys.
func makeTable(ctx context.Context, db *sql.DB, schema, table string) error {
	var there int
	err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM information_schema.tables WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`, schema, table).Scan(&there)
	if err != nil || there > 0 {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+schema); err != nil {
		return fmt.Errorf("cannot make the database %s: %w", schema, err)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s.%s (
		id VARBINARY(%d) NOT NULL PRIMARY KEY,
		value JSON NOT NULL,
		isbinary BOOLEAN NOT NULL,
		insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
		updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
		eTag VARCHAR(36) NOT NULL,
		expiredate TIMESTAMP NULL,
		row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
		INDEX expiredate_idx (expiredate),
		UNIQUE KEY row_id_uidx (row_id)
	)`, schema, table, maxKey)); err != nil {
		return fmt.Errorf("cannot make the table %s.%s: %w", schema, table, err)
	}
	return nil
}
