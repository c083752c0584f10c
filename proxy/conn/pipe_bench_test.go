package conn

import (
	"io"
	"net"
	"testing"
	"time"
)

func tcpPair(b *testing.B) (net.Conn, net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Skipf("no loopback: %v", err)
	}
	defer func() { _ = ln.Close() }()
	c1, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	c2, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return c1, c2
}

var pairs = []struct {
	name string
	make func(*testing.B) (net.Conn, net.Conn)
}{
	{"pipe", func(*testing.B) (net.Conn, net.Conn) { return Pipe() }},
	{"netpipe", func(*testing.B) (net.Conn, net.Conn) { return net.Pipe() }},
	{"tcp", tcpPair},
}

// BenchmarkPingPong is one question and one answer of 1 KB between two goroutines.
func BenchmarkPingPong(b *testing.B) {
	for _, p := range pairs {
		b.Run(p.name, func(b *testing.B) { pingPong(b, p.make, false) })
		b.Run(p.name+"/deadlines", func(b *testing.B) { pingPong(b, p.make, true) })
	}
}

func pingPong(b *testing.B, pair func(*testing.B) (net.Conn, net.Conn), deadlines bool) {
	client, server := pair(b)
	done := make(chan struct{})
	turn := func(c net.Conn, buf []byte, answer bool) error {
		if deadlines {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
		}
		if !answer {
			if _, err := c.Write(buf); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if answer {
			_, err := c.Write(buf)
			return err
		}
		return nil
	}
	go func() {
		defer close(done)
		for buf := make([]byte, 1024); turn(server, buf, true) == nil; {
		}
	}()
	b.ReportAllocs()
	buf := make([]byte, 1024)
	for b.Loop() {
		if err := turn(client, buf, false); err != nil {
			b.Fatal(err)
		}
	}
	_ = client.Close()
	<-done
	_ = server.Close()
}

// BenchmarkThroughput is a one-way flow of 32 KB writes.
func BenchmarkThroughput(b *testing.B) {
	for _, p := range pairs {
		b.Run(p.name, func(b *testing.B) {
			client, server := p.make(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for buf := make([]byte, 32<<10); ; {
					if _, err := server.Read(buf); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, 32<<10)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = client.Close()
			<-done
			_ = server.Close()
		})
	}
}

func BenchmarkNewPipe(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c, s := NewPipe("a", "b")
		_ = c.Close()
		_ = s.Close()
	}
}
