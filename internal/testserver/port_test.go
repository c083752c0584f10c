package testserver

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestPort(t *testing.T) {
	t.Run("is nobody else's", func(t *testing.T) {
		seen := make(map[int]bool)
		for range 500 {
			p := Port(t)
			if seen[p] {
				t.Fatalf("port %d came twice", p)
			}
			seen[p] = true
			if other, ok := claim(p); ok {
				_ = other.Close()
				t.Fatalf("port %d can be claimed twice", p)
			}
		}
	})
	t.Run("is refused until somebody listens", func(t *testing.T) {
		addr := Addr(t)
		if c, err := net.DialTimeout("tcp", addr, Patience); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				_ = c.Close()
			}
			t.Fatalf("%v, want refused", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	})
	t.Run("can be had again after the test", func(t *testing.T) {
		for range 20 { // another process may be quicker
			var p int
			t.Run("test", func(t *testing.T) { p = Port(t) })
			if l, ok := claim(p); ok {
				_ = l.Close()
				return
			}
		}
		t.Fatal("ports are claimed for ever")
	})
	t.Run("that is in use is not given", func(t *testing.T) {
		for _, network := range []string{"tcp", "udp"} {
			p := Port(t)
			if network == "tcp" {
				l, err := net.ListenTCP(network, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close() //nolint:errcheck // nothing was accepted
			} else {
				pc, err := net.ListenUDP(network, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
				if err != nil {
					t.Fatal(err)
				}
				defer pc.Close() //nolint:errcheck // nothing was read
			}
			if free(p) {
				t.Errorf("port %d of %s is in use, but counts as free", p, network)
			}
		}
	})
}

func TestPortRange(t *testing.T) {
	for outgoing, want := range map[string][2]int{
		"":               {firstPort, lastPort},
		"32768\t60999\n": {firstPort, lastPort},
		"32000 32001":    {firstPort, lastPort},
		"1024 9999":      {firstPort, lastPort},
		"16000\t65535\n": {1024, 15999},
		"20000 60999":    {1024, 19999},
		"1024\t20000\n":  {20001, 65535},
		"1024\t65535\n":  {firstPort, lastPort},
		"1024\t65000\n":  {firstPort, lastPort},
		"many of them":   {firstPort, lastPort},
	} {
		if first, last := portRange(outgoing); [2]int{first, last} != want {
			t.Errorf("%q: %d to %d, want %v", outgoing, first, last, want)
		}
	}
}
