package postgresql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/state"
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
	t.Parallel()
	matrix.Backend(t, "state", "postgresql")
	s := testserver.Postgres(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(postgresql.V1(), map[string]any{"connectionString": url(s.Addr)}),
		ForeignETag: "4000000000", TTLUnit: time.Second, Keys: textKey,
	})
}

func TestV2(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "state", "postgresql/v2")
	s := testserver.Postgres(t)
	statetest.Run(t, statetest.Options{
		New:         statetest.New(postgresql.V2(), map[string]any{"connectionString": url(s.Addr)}),
		ForeignETag: foreignUUID, TTLUnit: time.Second, Keys: textKey,
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := testserver.Postgres(t)
	link := testserver.NewLink(t, s.Addr)
	wrong := strings.Replace(url(s.Addr), testserver.SQLPassword, "not-the-password", 1)
	statetest.Faults(t, statetest.FaultOptions{
		Factory: postgresql.V1(), Metadata: map[string]any{"connectionString": url(link.Addr)}, Link: link,
		WrongCredentials: map[string]any{"connectionString": wrong}, Secret: "not-the-password",
	})
}

// TestRestart: the server itself goes and comes back; what was acknowledged is there.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := testserver.Postgres(t)
	s := statetest.New(postgresql.V2(), map[string]any{"connectionString": url(p.Addr)})(t)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Write(t.Context(), state.Op{Key: "k", Value: []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if _, err := s.Get(t.Context(), state.Get{Key: "k"}); err == nil {
		t.Fatal("a read without a server succeeds")
	}
	p.Start()
	testserver.Eventually(t, testserver.Patience, func() error { // broken connections are found one by one
		item, err := s.Get(t.Context(), state.Get{Key: "k"})
		if err == nil && (item == nil || string(item.Value) != "kept") {
			t.Fatalf("it has %v", item)
		}
		return err
	})
}
