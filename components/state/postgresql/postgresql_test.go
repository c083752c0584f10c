package postgresql_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/state/postgresql"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

const foreignUUID = "00000000-0000-4000-8000-000000000000"

func url(addr string) string {
	return fmt.Sprintf("postgres://ottavo:%s@%s/postgres?sslmode=disable&pool_max_conns=8", testserver.SQLPassword, addr)
}

func textKey(key string) bool { return utf8.ValidString(key) && !slices.Contains([]byte(key), 0) }

func TestV1(t *testing.T) {
	matrix.Backend(t, "state", "postgresql")
	s := testserver.Postgres(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(postgresql.V1(), map[string]any{"connectionString": url(s.Addr)}),
		ForeignETag: "4000000000", TTLUnit: time.Second, Keys: textKey,
	})
}

func TestV2(t *testing.T) {
	matrix.Backend(t, "state", "postgresql/v2")
	s := testserver.Postgres(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(postgresql.V2(), map[string]any{"connectionString": url(s.Addr)}),
		ForeignETag: foreignUUID, TTLUnit: time.Second, Keys: textKey,
	})
}
