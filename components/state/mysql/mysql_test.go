package mysql_test

import (
	"fmt"
	"strings"
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
	t.Parallel()
	matrix.Backend(t, "state", "mysql")
	s := testserver.MariaDB(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(mysql.New(), map[string]any{"connectionString": dsn(s.Addr)}),
		ForeignETag: foreignUUID, TTLUnit: time.Second, Keys: func(key string) bool { return len(key) <= 1024 },
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := testserver.MariaDB(t)
	link := testserver.NewLink(t, s.Addr)
	statetest.Faults(t, statetest.FaultOptions{
		Factory: mysql.New(), Metadata: map[string]any{"connectionString": dsn(link.Addr)}, Link: link,
		WrongCredentials: map[string]any{"connectionString": strings.Replace(dsn(s.Addr), testserver.SQLPassword, "not-the-password", 1)}, Secret: "not-the-password",
	})
}
