package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state/sqlite"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

const foreignUUID = "00000000-0000-4000-8000-000000000000"

func TestSuite(t *testing.T) {
	matrix.Backend(t, "state", "sqlite")
	statetest.Run(t, statetest.Options{
		New:         statetest.New(sqlite.New(), map[string]any{"connectionString": filepath.Join(t.TempDir(), "state.db")}),
		ForeignETag: foreignUUID, TTLUnit: time.Second,
	})
}
