package proxy_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// echoUDP answers every datagram with a word in front of it.
func echoUDP(t *testing.T, word string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo([]byte(word+string(buf[:n])), from)
		}
	}()
	return pc.LocalAddr().String()
}

// askUDP sends a datagram until it is answered.
func askUDP(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, 2048)
	for range 100 {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, err := c.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	t.Fatal("no answer to 100 datagrams")
	return ""
}

func udpSnapshot(cluster string, clusters ...config.Cluster) *config.Snapshot {
	return &config.Snapshot{
		Listeners: []config.Listener{{Name: "dns", Network: "udp", Address: "127.0.0.1:0", BindPort: true, FilterChains: []config.FilterChain{
			{Filters: []config.Extension{{Type: "udp_proxy", Config: map[string]any{"cluster": cluster}}}},
		}}},
		Clusters: clusters,
	}
}

func TestDatagrams(t *testing.T) {
	one, two := echoUDP(t, "one "), echoUDP(t, "two ")
	s := proxytest.Start(t, nil, udpSnapshot("c", proxytest.Cluster("c", one)))
	at := addr(t, s, "dns")
	if got := askUDP(t, at, "hello"); got != "one hello" {
		t.Errorf("%q", got)
	}
	// New sessions go where the clusters of the moment are; the socket stays.
	if err := s.Apply(t.Context(), udpSnapshot("c", proxytest.Cluster("c", two))); err != nil {
		t.Fatal(err)
	}
	if got := addr(t, s, "dns"); got != at {
		t.Fatalf("the socket moved from %s to %s", at, got)
	}
	if got := askUDP(t, at, "hello"); got != "two hello" {
		t.Errorf("after Apply: %q", got)
	}
	// What changes the listener itself is refused, and nothing is changed.
	err := s.Apply(t.Context(), udpSnapshot("other", proxytest.Cluster("c", one)))
	if err == nil || !strings.Contains(err.Error(), "cannot change while it has its address") {
		t.Errorf("%v", err)
	}
	if got := askUDP(t, at, "hello"); got != "two hello" {
		t.Errorf("after a refused Apply: %q", got)
	}
	// Without the listener the address is free.
	if err := s.Apply(t.Context(), &config.Snapshot{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		pc, err := net.ListenPacket("udp", at)
		if err == nil {
			_ = pc.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the address is not free: %v", err)
		}
	}
}

func TestDatagramsRefused(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, c := range []struct {
		change func(*config.Listener)
		want   string
	}{
		{func(l *config.Listener) { l.FilterChains[0].Filters[0].Type = "proxy" }, "exactly one network filter, udp_proxy"},
		{func(l *config.Listener) { l.FilterChains = nil }, "exactly one network filter, udp_proxy"},
		{func(l *config.Listener) { l.Address = taken.LocalAddr().String() }, "address already in use"},
	} {
		snapshot := udpSnapshot("c")
		c.change(&snapshot.Listeners[0])
		if _, err := proxytest.New(t, nil, snapshot); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "listeners[0]") {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}
