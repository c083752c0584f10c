// Package kafka starts a fake of Kafka inside a test: one broker that speaks its
// protocol, with groups, and keeps what it gets on disk. It stands apart from
// package testserver, so that only the tests that want Kafka link all of it. It is
// for tests only.
package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// A Server is one broker. Its methods are for one goroutine.
type Server struct {
	// Addr is its host:port; it stays the same over Stop and Start.
	Addr string

	t     testing.TB
	dir   string
	port  int
	kafka *kfake.Cluster
}

// Start starts a broker, which makes topics of one partition when they are first
// asked for, and stops it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), port: testserver.Port(t)}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the broker again after Stop, with what it had.
func (s *Server) Start() {
	s.t.Helper()
	if s.kafka != nil {
		s.t.Fatal("testserver: Start of a Kafka broker that runs")
	}
	var err error
	s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(s.port), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1),
		kfake.DataDir(s.dir), kfake.SyncWrites())
	if err != nil {
		s.t.Fatalf("testserver: Kafka: %v", err)
	}
	s.Addr = s.kafka.ListenAddrs()[0]
}

// Stop ends the broker: connections break.
func (s *Server) Stop() {
	if s.kafka == nil {
		return
	}
	s.kafka.Close()
	s.kafka = nil
}
