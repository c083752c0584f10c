package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// maxKey is how many bytes a key may have.
const maxKey = 1024

// table is the counter in a table of any database.
type table struct {
	db      *sql.DB
	explain func(error) error
	dialect dialect
}

// dialect is what databases do differently. The number of a key that is not there
// yet becomes n resp. least.
type dialect struct {
	// add adds n to the number of key and returns it; sql.ErrNoRows says that there
	// is no room.
	add func(ctx context.Context, db *sql.DB, key string, n, most int64) (int64, error)
	// raise is a statement with the parameters key and least.
	raise string
}

// Add implements sequencer.Counter.
func (t *table) Add(ctx context.Context, key string, n int64) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	number, err := t.dialect.add(ctx, t.db, key, n, math.MaxInt64-n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, sequencer.ErrExhausted
	}
	return number, t.explain(err)
}

// Raise implements sequencer.Counter.
func (t *table) Raise(ctx context.Context, key string, least int64) error {
	if err := checkKey(key); err != nil || least <= 0 {
		return err
	}
	_, err := t.db.ExecContext(ctx, t.dialect.raise, key, least)
	return t.explain(err)
}

func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: the key has %d bytes, at most %d are possible", sequencer.ErrInvalid, len(key), maxKey)
	}
	return nil
}

// Check implements sequencer.Counter.
func (t *table) Check(ctx context.Context) error { return t.explain(t.db.PingContext(ctx)) }

// Close implements sequencer.Counter.
func (t *table) Close() error { return t.db.Close() }
