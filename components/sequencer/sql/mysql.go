package sql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mysqlnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// MySQLType is the name of the backend for MySQL in a configuration.
const MySQLType = "mysql"

// MySQLMetadata is its configuration.
type MySQLMetadata struct {
	// URL is host:port, or a DSN: user:password@tcp(host:port)/database.
	// ConnectionString is another name for it.
	URL              string `json:"mysqlUrl"`
	ConnectionString string `json:"connectionString"`
	UserName         string `json:"userName"`
	Password         string `json:"password"`
	// DatabaseName is the database; it must be there. Database is how Layotto
	// spells it.
	DatabaseName string `json:"databaseName"`
	Database     string `json:"dataBaseName"`
	// TableName is the table, which is made unless it is there.
	TableName string `json:"tableName" default:"layotto_sequencer"`
	sequencer.Common
}

// NewMySQL connects and makes the table unless it is there. The error names the
// server.
func NewMySQL(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m MySQLMetadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	wrong := func(key, message, remedy string) error {
		return decode.Problems{{Path: decode.Join(cfg.SettingsPath(), key), Message: message, Remedy: remedy}}
	}
	name, err := mysqlnode.Quote(m.TableName)
	if err != nil {
		return nil, wrong("tableName", err.Error(), "")
	}
	url := cmp.Or(m.URL, m.ConnectionString)
	if url == "" {
		return nil, wrong("mysqlUrl", "is missing", `for example "localhost:3306"`)
	}
	db, err := mysqlnode.Open(ctx, mysqlnode.Settings{Address: url, User: m.UserName, Password: m.Password, Database: cmp.Or(m.DatabaseName, m.Database)})
	if err != nil {
		return nil, err
	}
	err = db.Ensure(ctx, "SELECT sequencer_key, sequencer_value FROM "+name+" LIMIT 0",
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (sequencer_key VARBINARY(%d) NOT NULL PRIMARY KEY, sequencer_value BIGINT NOT NULL) ENGINE=InnoDB", name, maxKey))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the table %s: %w", m.TableName, err), db.Close())
	}
	return sequencer.Count(ctx, &table{db: db.DB, explain: db.Explain, dialect: mysqlDialect(name)}), nil
}

func mysqlDialect(name string) dialect {
	// LAST_INSERT_ID(x) is x, and is told to the client. A row without room is left
	// as it is, and tells 0.
	add := "INSERT INTO " + name + " (sequencer_key, sequencer_value) VALUES (?, LAST_INSERT_ID(?))" +
		" ON DUPLICATE KEY UPDATE sequencer_value = IF(sequencer_value <= ?, LAST_INSERT_ID(sequencer_value + ?), sequencer_value + LAST_INSERT_ID(0))"
	return dialect{
		add: func(ctx context.Context, db *sql.DB, key string, n, most int64) (int64, error) {
			result, err := db.ExecContext(ctx, add, key, n, most, n)
			if err != nil {
				return 0, err
			}
			number, err := result.LastInsertId()
			if err == nil && number == 0 {
				err = sql.ErrNoRows
			}
			return number, err
		},
		raise: "INSERT INTO " + name + " (sequencer_key, sequencer_value) VALUES (?, ?)" +
			" ON DUPLICATE KEY UPDATE sequencer_value = GREATEST(sequencer_value, VALUES(sequencer_value))",
	}
}
