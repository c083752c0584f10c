package mysql_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state/mysql"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

const foreignUUID = "00000000-0000-4000-8000-000000000000"

func dsn(addr string) string { return fmt.Sprintf("ottavo:%s@tcp(%s)/", testserver.SQLPassword, addr) }

func TestSuite(t *testing.T) {
	matrix.Backend(t, "state", "mysql")
	s := testserver.MariaDB(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(mysql.New(), map[string]any{"connectionString": dsn(s.Addr)}),
		ForeignETag: foreignUUID, TTLUnit: time.Second, Keys: func(key string) bool { return len(key) <= 1024 },
	})
}
