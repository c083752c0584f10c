package snowflake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mysqlnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "snowflake"

// Metadata is the configuration, under Layotto's names.
type Metadata struct {
	// Host is host:port of the MySQL or MariaDB that gives out workers' numbers.
	Host         string `json:"mysqlHost"`
	UserName     string `json:"userName"`
	Password     string `json:"password"`
	DatabaseName string `json:"databaseName"`
	// TableName has a row for each start, KeyTableName one for each key. Both are
	// made unless they are there.
	TableName    string `json:"tableName" default:"layotto_sequencer_snowflake"`
	KeyTableName string `json:"keyTableName" default:"layotto_sequencer_snowflake_key"`
	// TimeBits, WorkerBits and SeqBits must sum up to 63.
	TimeBits   int `json:"timeBits" min:"1" max:"61" default:"28"`
	WorkerBits int `json:"workerBits" min:"1" max:"61" default:"22"`
	SeqBits    int `json:"seqBits" min:"1" max:"61" default:"13"`
	// StartTime is the day with which the count of seconds begins, as 2022-01-01, in
	// local time.
	StartTime string `json:"startTime" default:"2022-01-01"`
	// ReqTimeout is how long an id is waited for; a bare number counts milliseconds.
	ReqTimeout time.Duration `json:"reqTimeout" unit:"ms" default:"500ms"`
	// KeyTimeout is how long a key is remembered that nobody asks for; a bare number
	// counts hours.
	KeyTimeout time.Duration `json:"keyTimeout" unit:"h" default:"24h"`
	sequencer.Common
}

const (
	// maxKey is how many bytes a key may have.
	maxKey = 1024
	// writePause is how often it is written until when keys had ids.
	writePause = time.Minute
	// closeTime bounds the last writing.
	closeTime = 2 * time.Second
	// startTime bounds what is done at the start.
	startTime = 10 * time.Second
)

// Sequencer makes ids. Use New. It implements sequencer.Sequencer and
// components.Checker; it has no segments, as it asks nobody for an id.
type Sequencer struct {
	db       *mysqlnode.DB
	keyTable string
	layout   layout
	worker   int64
	patience time.Duration
	forget   time.Duration
	now      func() time.Time
	log      *slog.Logger

	mu      sync.Mutex
	closed  bool
	keys    map[string]*generator
	written map[string]int64 // seconds that are in the table
	quit    chan struct{}
	writer  sync.WaitGroup
}

// New connects to the database and takes the number of a worker there. The error
// names the server, or the setting that is wrong.
func New(ctx context.Context, env components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	table, keyTable, l, err := m.check(cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	db, err := mysqlnode.Open(ctx, mysqlnode.Settings{Address: m.Host, User: m.UserName, Password: m.Password, Database: m.DatabaseName})
	if err != nil {
		return nil, err
	}
	s := &Sequencer{
		db: db, keyTable: keyTable, layout: l, patience: m.ReqTimeout, forget: max(m.KeyTimeout, time.Minute), now: time.Now, log: env.Log,
		keys: make(map[string]*generator), written: make(map[string]int64), quit: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.begin(ctx, table); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.writer.Go(func() { s.keepWriting(context.WithoutCancel(ctx)) })
	return s, nil
}

// check returns the tables' names, quoted, and the layout.
func (m Metadata) check(path string) (table, keyTable string, l layout, err error) {
	var problems decode.Problems
	wrong := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: decode.Join(path, key), Message: message, Remedy: remedy})
	}
	for key, value := range map[string]string{"mysqlHost": m.Host, "userName": m.UserName, "databaseName": m.DatabaseName} {
		if value == "" {
			wrong(key, "is missing", "")
		}
	}
	if table, err = mysqlnode.Quote(m.TableName); err != nil {
		wrong("tableName", err.Error(), "")
	}
	if keyTable, err = mysqlnode.Quote(m.KeyTableName); err != nil {
		wrong("keyTableName", err.Error(), "")
	}
	if sum := m.TimeBits + m.WorkerBits + m.SeqBits; sum != 63 {
		wrong("timeBits", "timeBits, workerBits and seqBits sum up to "+strconv.Itoa(sum), "they must sum up to 63")
	}
	start, err := time.ParseInLocation(time.DateOnly, m.StartTime, time.Local)
	if err != nil {
		wrong("startTime", fmt.Sprintf("%q is no day", m.StartTime), "for example 2022-01-01")
	}
	l = layout{timeBits: uint(m.TimeBits), workerBits: uint(m.WorkerBits), seqBits: uint(m.SeqBits), start: start.Unix()}
	return table, keyTable, l, problems.Err()
}

// begin makes the tables and takes a number.
func (s *Sequencer) begin(ctx context.Context, table string) error {
	err := s.db.Ensure(ctx, "SELECT ID FROM "+table+" LIMIT 0", "CREATE TABLE IF NOT EXISTS "+table+
		" (ID BIGINT NOT NULL AUTO_INCREMENT, HOST_NAME VARCHAR(64) NOT NULL, PORT VARCHAR(64) NOT NULL, CREATED TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (ID)) ENGINE=InnoDB")
	if err == nil {
		err = s.db.Ensure(ctx, "SELECT SEQUENCER_KEY, WORKER_ID, TIMESTAMP FROM "+s.keyTable+" LIMIT 0", "CREATE TABLE IF NOT EXISTS "+s.keyTable+
			fmt.Sprintf(" (SEQUENCER_KEY VARBINARY(%d) NOT NULL PRIMARY KEY, WORKER_ID BIGINT NOT NULL, TIMESTAMP BIGINT NOT NULL) ENGINE=InnoDB", maxKey))
	}
	if err != nil {
		return fmt.Errorf("the tables: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	result, err := s.db.ExecContext(ctx, "INSERT INTO "+table+" (HOST_NAME, PORT, CREATED) VALUES (?, ?, CURRENT_TIMESTAMP)", host[:min(len(host), 64)], strconv.Itoa(os.Getpid()))
	if err == nil {
		s.worker, err = result.LastInsertId()
	}
	if err != nil {
		return fmt.Errorf("the number of a worker: %w", s.db.Explain(err))
	}
	if s.worker <= 0 || s.worker >= 1<<s.layout.workerBits {
		return fmt.Errorf("the number of this worker is %d, which does not fit into %d bits (workerBits): raise workerBits, "+
			"or choose another tableName together with a later startTime", s.worker, s.layout.workerBits)
	}
	return nil
}

// Next implements sequencer.Sequencer, for one process: see the package comment.
func (s *Sequencer) Next(ctx context.Context, key string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := sequencer.CheckKey(key); err != nil {
		return 0, err
	}
	g, err := s.generator(ctx, key)
	if err != nil {
		return 0, err
	}
	return g.next(ctx, s.patience)
}

// generator returns the one of a key. For a key that is new here, the database tells
// until when it had ids.
func (s *Sequencer) generator(ctx context.Context, key string) (*generator, error) {
	s.mu.Lock()
	g, closed := s.keys[key], s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, sequencer.ErrClosed
	case g != nil:
		return g, nil
	case len(key) > maxKey:
		return nil, fmt.Errorf("%w: the key has %d bytes, at most %d are possible", sequencer.ErrInvalid, len(key), maxKey)
	}
	limited, cancel := context.WithTimeout(ctx, max(s.patience, closeTime))
	defer cancel()
	second := int64(0)
	err := s.db.QueryRowContext(limited, "SELECT TIMESTAMP FROM "+s.keyTable+" WHERE SEQUENCER_KEY = ?", []byte(key)).Scan(&second)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return nil, sequencer.ErrClosed
		}
		return nil, fmt.Errorf("until when the key had ids is not known: %w", s.db.Explain(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, sequencer.ErrClosed
	}
	if s.keys[key] == nil { // nobody else was faster
		s.keys[key] = &generator{layout: s.layout, worker: s.worker, now: s.now, second: second, seq: -1, used: s.now()}
		s.written[key] = second
	}
	return s.keys[key], nil
}

// keepWriting writes from time to time until when keys had ids, and a last time
// with Close.
func (s *Sequencer) keepWriting(ctx context.Context) {
	tick := time.NewTicker(writePause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.write(ctx, writePause/2)
		case <-s.quit:
			s.write(ctx, closeTime)
			return
		}
	}
}

// write writes what has changed since the last time. Keys that nobody has asked for
// in a long time are forgotten, after they were written.
func (s *Sequencer) write(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.mu.Lock()
	changed := make(map[string]int64)
	for key, g := range s.keys {
		second, used := g.last()
		if second != s.written[key] {
			changed[key] = second
		} else if s.now().Sub(used) > s.forget {
			delete(s.keys, key)
			delete(s.written, key)
		}
	}
	s.mu.Unlock()
	for key, second := range changed {
		_, err := s.db.ExecContext(ctx, "INSERT INTO "+s.keyTable+" (SEQUENCER_KEY, WORKER_ID, TIMESTAMP) VALUES (?, ?, ?)"+
			" ON DUPLICATE KEY UPDATE WORKER_ID = VALUES(WORKER_ID), TIMESTAMP = GREATEST(TIMESTAMP, VALUES(TIMESTAMP))", []byte(key), s.worker, second)
		if err != nil {
			s.log.Warn("until when keys had ids could not be written; it will be tried again", "error", s.db.Explain(err))
			return
		}
		s.mu.Lock()
		s.written[key] = second
		s.mu.Unlock()
	}
}

// Check implements components.Checker. Keys that are in use need no database, new
// ones do.
func (s *Sequencer) Check(ctx context.Context) error { return s.db.Explain(s.db.PingContext(ctx)) }

// Close implements sequencer.Sequencer.
func (s *Sequencer) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.quit)
	}
	s.writer.Wait()
	return s.db.Close()
}
