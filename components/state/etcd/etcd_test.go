package etcd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/etcd"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	server "github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	for typ, factory := range map[string]components.Factory[state.Store]{"etcd": etcd.V1, "etcd/v2": etcd.V2} {
		t.Run(strings.ReplaceAll(typ, "/", "-"), func(t *testing.T) {
			t.Parallel()
			matrix.Backend(t, "state", typ)
			s := server.Start(t)
			statetest.Run(t, statetest.Options{
				New:     statetest.New(factory, map[string]any{"endpoints": s.Addr, "keyPrefixPath": "p"}),
				TTLUnit: time.Second,
			})
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := server.Start(t)
	users(t, s.Addr)
	link := testserver.NewLink(t, s.Addr)
	settings := func(addr, password string) map[string]any {
		return map[string]any{"endpoints": addr, "username": "root", "password": password, "timeout": "5s"}
	}
	statetest.Faults(t, statetest.FaultOptions{
		Factory: etcd.V1, Metadata: settings(link.Addr, "test-only"), Link: link,
		WrongCredentials: settings(s.Addr, "not-the-password"), Secret: "not-the-password",
	})
}

// users makes the server ask for a password.
func users(t *testing.T, addr string) {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: testserver.Patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := c.UserAdd(t.Context(), "root", "test-only")
	_, err2 := c.UserGrantRole(t.Context(), "root", "root")
	_, err3 := c.AuthEnable(t.Context())
	if err := errors.Join(err1, err2, err3, c.Close()); err != nil {
		t.Fatal(err)
	}
}
