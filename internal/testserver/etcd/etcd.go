// Package etcd starts an etcd server inside a test. It stands apart from package
// testserver, so that only the tests that want etcd link all of it. It is for
// tests only.
package etcd

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// startTimeout is how long the server may take to be ready.
const startTimeout = 3 * time.Minute

// A Server is a cluster of one. Its methods are for one goroutine. To let it hang
// or to slow it down, put a testserver.Link in front of Addr.
type Server struct {
	// Addr is its host:port for clients; it stays the same over Stop and Start.
	Addr string

	t    testing.TB
	dir  string
	peer string
	etcd *embed.Etcd
}

// Start starts a server and stops it when the test ends. It keeps its data over
// Stop and Start. It asks for no password; a client with the maintenance right can
// turn that on.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	s.Addr, s.peer = testserver.Addr(t), testserver.Addr(t)
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the server again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	if s.etcd != nil {
		s.t.Fatal("testserver: Start of an etcd that runs")
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("testserver: etcd: %v", err)
	}
}

func (s *Server) start() error {
	client, peer := url.URL{Scheme: "http", Host: s.Addr}, url.URL{Scheme: "http", Host: s.peer}
	cfg := embed.NewConfig()
	cfg.Dir = s.dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel = "panic"
	cfg.UnsafeNoFsync = true
	cfg.BcryptCost = 4 // the least there is: tests need no strong passwords
	cfg.TickMs, cfg.ElectionMs = 10, 100
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-e.Server.ReadyNotify():
		s.etcd = e
		return nil
	case err = <-e.Err():
	case <-timer.C:
		err = fmt.Errorf("it is not ready after %s", startTimeout)
	}
	e.Close()
	return err
}

// Stop ends the server: connections break. It does nothing when it does not run.
func (s *Server) Stop() {
	if s.etcd == nil {
		return
	}
	s.etcd.Close()
	s.etcd = nil
}
