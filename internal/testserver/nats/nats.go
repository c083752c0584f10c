// Package nats starts a NATS server with JetStream inside a test. It stands apart
// from package testserver, so that only the tests that want NATS link all of it. It
// is for tests only.
package nats

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// startTimeout is how long the server may take to be ready.
const startTimeout = 3 * time.Minute

// A Server is one server. Its methods are for one goroutine.
type Server struct {
	// Addr is its host:port; it stays the same over Stop and Start.
	Addr string

	t     testing.TB
	token string
	dir   string
	port  int
	nats  *server.Server
}

// Start starts a server and stops it when the test ends. It keeps its streams over
// Stop and Start, and asks for the token unless that is "".
func Start(t testing.TB, token string) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), token: token, port: testserver.Port(t)}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the server again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	if s.nats != nil {
		s.t.Fatal("testserver: Start of a NATS server that runs")
	}
	var err error
	s.nats, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: s.port, JetStream: true, StoreDir: s.dir, SyncAlways: true, Authorization: s.token,
		NoLog: true, NoSigs: true,
	})
	if err != nil {
		s.t.Fatalf("testserver: NATS: %v", err)
	}
	s.nats.Start()
	if !s.nats.ReadyForConnections(startTimeout) {
		s.t.Fatalf("testserver: NATS is not ready after %s", startTimeout)
	}
	s.Addr = s.nats.Addr().String()
}

// Stop ends the server: connections break.
func (s *Server) Stop() {
	if s.nats == nil {
		return
	}
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	s.nats = nil
}
