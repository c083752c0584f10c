package testserver

import (
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedisStopAndStart(t *testing.T) {
	s := Redis(t)
	other := Redis(t)
	if s.Addr == other.Addr || !strings.HasPrefix(s.Addr, "127.0.0.1:") {
		t.Fatalf("addresses %s and %s", s.Addr, other.Addr)
	}
	if got := s.Command("SET", "k", "v"); got != "+OK" {
		t.Fatal(got)
	}
	addr := s.Addr
	s.Stop()
	s.Stop()
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Fatal("a stopped server accepts connections")
	}
	s.Start()
	if got := s.Command("GET", "k"); s.Addr != addr || got != "$-1" {
		t.Fatalf("after Start at %s (was %s): GET says %s, want a server that is empty", s.Addr, addr, got)
	}
	s.Pause()
	if _, err := s.command(time.Second, "PING"); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	if got := s.Command("PING"); got != "+PONG" {
		t.Fatal(got)
	}
}

func TestRedisOptions(t *testing.T) {
	if got := Redis(t, RedisPassword("pw")).Command("GET", "k"); !strings.HasPrefix(got, "-NOAUTH") {
		t.Errorf("with a password: %s", got)
	}
	if got := Redis(t, RedisTLS()).Command("PING"); got != "+PONG" {
		t.Errorf("with TLS: %s", got)
	}
	for _, node := range RedisCluster(t, 2) {
		if got := node.Command("SET", "k", "v"); got != "+OK" && !strings.HasPrefix(got, "-MOVED") {
			t.Errorf("as a cluster: %s", got)
		}
	}
	if got := Redis(t, RedisArgs("--maxclients", "7")).Command("CONFIG", "GET", "maxclients"); got != "*2" {
		t.Errorf("with an argument: %s", got)
	}
	if got := RedisSentinel(t, Redis(t), "m").Command("SENTINEL", "get-master-addr-by-name", "m"); got != "*2" {
		t.Errorf("sentinel: %s", got)
	}
}
