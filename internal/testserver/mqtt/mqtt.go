// Package mqtt starts an MQTT server inside a test. It stands apart from package
// testserver, so that only the tests that want MQTT link all of it. It is for tests
// only.
package mqtt

import (
	"log/slog"
	"testing"

	server "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// A Server is one server. Its methods are for one goroutine.
type Server struct {
	// Addr is its host:port; it stays the same over Stop and Start.
	Addr string

	t        testing.TB
	password string
	mqtt     *server.Server
	listener *listener
}

// Start starts a server and stops it when the test ends. It asks for the user
// "app" with the password unless that is "". It forgets everything with Stop.
func Start(t testing.TB, password string) *Server {
	t.Helper()
	s := &Server{t: t, password: password, Addr: testserver.Addr(t)}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the server again, empty, after Stop.
func (s *Server) Start() {
	s.t.Helper()
	if s.mqtt != nil {
		s.t.Fatal("testserver: Start of an MQTT server that runs")
	}
	s.mqtt = server.New(&server.Options{Logger: slog.New(slog.DiscardHandler)})
	var err error
	if s.password == "" {
		err = s.mqtt.AddHook(new(auth.AllowHook), nil)
	} else {
		err = s.mqtt.AddHook(new(auth.Hook), &auth.Options{Ledger: &auth.Ledger{
			Auth: auth.AuthRules{{Username: "app", Password: auth.RString(s.password), Allow: true}},
		}})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if s.listener, err = listen(s.Addr); err == nil {
		err = s.mqtt.AddListener(s.listener)
	}
	if err != nil {
		s.t.Fatalf("testserver: MQTT: %v", err)
	}
	if err := s.mqtt.Serve(); err != nil {
		s.t.Fatalf("testserver: MQTT: %v", err)
	}
}

// Stop ends the server: connections break.
func (s *Server) Stop() {
	if s.mqtt == nil {
		return
	}
	s.listener.stop()
	if err := s.mqtt.Close(); err != nil {
		s.t.Errorf("testserver: MQTT: %v", err)
	}
	s.mqtt = nil
}
