package mysqlnode

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ottavo-runtime/ottavo/components"
)

// Settings say where and as whom.
type Settings struct {
	// Address is host:port; the port is 3306 unless it is given. It may be a whole
	// DSN of Go's driver, user:password@tcp(host:port)/database, too; then the others
	// only fill in what it lacks.
	Address        string
	User, Password string
	Database       string
}

const (
	dialTime = 5 * time.Second
	maxConns = 10
	maxIdle  = 5 * time.Minute
)

// DB is an open database.
type DB struct {
	*sql.DB
	where string
}

// Open connects. It fails when ctx ends, or after five seconds, if the server does
// not answer; the error names its address.
func Open(ctx context.Context, s Settings) (*DB, error) {
	conf, err := s.config()
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return nil, fmt.Errorf("mysql %s: %w", conf.Addr, err)
	}
	db := &DB{DB: sql.OpenDB(connector), where: fmt.Sprintf("mysql %s, database %s", conf.Addr, conf.DBName)}
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(maxIdle)
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", db.Explain(err)), db.Close())
	}
	return db, nil
}

func (s Settings) config() (*mysql.Config, error) {
	conf := mysql.NewConfig()
	if strings.ContainsAny(s.Address, "@/") {
		parsed, err := mysql.ParseDSN(s.Address)
		if err != nil {
			return nil, errors.New("the address is neither host:port nor a DSN like user:password@tcp(host:port)/database")
		}
		conf = parsed
	} else {
		conf.Net, conf.Addr = "tcp", s.Address
	}
	if _, _, err := net.SplitHostPort(conf.Addr); err != nil && conf.Net == "tcp" {
		conf.Addr = net.JoinHostPort(strings.Trim(conf.Addr, "[]"), "3306")
	}
	for _, fill := range []struct {
		to   *string
		with string
	}{{&conf.User, s.User}, {&conf.Passwd, s.Password}, {&conf.DBName, s.Database}} {
		if *fill.to == "" {
			*fill.to = fill.with
		}
	}
	if conf.DBName == "" {
		return nil, errors.New("no database is named")
	}
	conf.Timeout = dialTime
	conf.Logger = &mysql.NopLogger{}
	return conf, nil
}

// Explain names the server in an error; nil stays nil.
func (db *DB) Explain(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok && e.Number == 1049 {
		return fmt.Errorf("%s: %w: create it first (CREATE DATABASE)", db.where, err)
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		err = components.Away(err)
	}
	return fmt.Errorf("%s: %w", db.where, err)
}

var name = regexp.MustCompile(`^[0-9A-Za-z_$]{1,64}$`)

// Quote returns a table's name as part of a statement, or an error that says what a
// name may be made of.
func Quote(table string) (string, error) {
	if !name.MatchString(table) {
		return "", fmt.Errorf("%q is no name of a table: letters, digits, _ and $, at most 64 of them", table)
	}
	return "`" + table + "`", nil
}

// Ensure makes a table unless it is there. probe is a statement that fails when it is
// not; so nobody needs the right to make tables once they are there.
func (db *DB) Ensure(ctx context.Context, probe, create string) error {
	rows, err := db.QueryContext(ctx, probe)
	if err == nil {
		return db.Explain(errors.Join(rows.Err(), rows.Close()))
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); !ok || e.Number != 1146 {
		return db.Explain(err)
	}
	_, err = db.ExecContext(ctx, create)
	return db.Explain(err)
}
