package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair runs test in a bubble, with a Conn and the other end of its pipe.
func pair(t *testing.T, test func(t *testing.T, c *Conn, peer *PipeConn)) {
	t.Helper()
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		c := New(server)
		defer c.Free()
		test(t, c, client)
	})
}

func TestConnReadsBufferFirst(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		write(t, peer, "hello world")
		if got, err := c.Reader().Peek(5); err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
		if n := c.BytesRead(); n != 11 {
			t.Errorf("BytesRead %d", n)
		}
		c.Release() // holds something: stays
		write(t, peer, "!")
		_ = peer.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "hello world!" {
			t.Errorf("%q, %v", got, err)
		}
		c.Release()
		if c.r != nil || c.w != nil {
			t.Error("buffers that hold nothing are kept")
		}
	})
}

func TestConnGrow(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		big := strings.Repeat("0123456789", 3000)
		write(t, peer, big)
		_ = peer.CloseWrite()
		for _, size := range []int{100, BufferSize, BufferSize + 1, 20_000, 40_000} {
			n := min(size, len(big))
			c.Grow(size)
			if got, err := c.Reader().Peek(n); err != nil || string(got) != big[:n] {
				t.Fatalf("size %d: %d bytes, %v", size, len(got), err)
			}
		}
		if got, err := io.ReadAll(c.Reader()); err != nil || string(got) != big {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		c.Release()
		if size := c.Reader().Size(); size != BufferSize {
			t.Errorf("a buffer of %d bytes came from the pool", size)
		}
	})
}

func TestWaitRequest(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, holdBuffer, time.Hour} {
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
			for range 2 {
				var writing sync.WaitGroup
				writing.Go(func() {
					time.Sleep(after)
					write(t, peer, "ab")
				})
				if err := c.WaitRequest(0); err != nil {
					t.Fatalf("after %v: %v", after, err)
				}
				writing.Wait()
				if after > holdBuffer && (c.r != nil || !c.hasFirst) {
					t.Error("an idle connection holds a buffer")
				}
				if err := c.WaitRequest(time.Nanosecond); err != nil {
					t.Errorf("with something to read: %v", err)
				}
				time.Sleep(24 * time.Hour) // no deadline is left over
				if got, err := c.Reader().Peek(2); err != nil || string(got) != "ab" {
					t.Errorf("%q, %v", got, err)
				}
				_, _ = c.Reader().Discard(2)
			}
			if n := c.BytesRead(); n != 4 {
				t.Errorf("BytesRead %d", n)
			}
		})
	}
	for _, timeout := range []time.Duration{1, time.Second, holdBuffer, holdBuffer + 1, time.Hour} {
		pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
			start := time.Now()
			if err := c.WaitRequest(timeout); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != timeout {
				t.Errorf("timeout %v: %v after %v", timeout, err, time.Since(start))
			}
		})
	}
	for _, after := range []time.Duration{0, time.Hour} {
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
			time.AfterFunc(after, func() { _ = peer.CloseWrite() })
			if err := c.WaitRequest(0); !errors.Is(err, io.EOF) {
				t.Errorf("the peer ended: %v", err)
			}
		})
		pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
			time.AfterFunc(after, func() { _ = c.Close() })
			if err := c.WaitRequest(0); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		})
	}
}

func TestConnDrain(t *testing.T) {
	// At the borders of the two parts of the wait, too.
	for _, after := range []time.Duration{0, 1, holdBuffer - 1, holdBuffer, holdBuffer + 1, time.Hour} {
		pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
			start := time.Now()
			time.AfterFunc(after, c.Drain)
			if err := c.WaitOrDrain(2*time.Hour, nil); !errors.Is(err, ErrDraining) || time.Since(start) != after || !c.Draining() {
				t.Errorf("drained after %v: %v after %v", after, err, time.Since(start))
			}
			if err := c.WaitOrDrain(0, nil); !errors.Is(err, ErrDraining) {
				t.Errorf("when draining: %v", err)
			}
		})
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) { // the last call
			for range 2 {
				start := time.Now()
				if !c.Draining() {
					time.AfterFunc(after, c.Drain)
				} else {
					start = start.Add(-after)
				}
				if err := c.WaitRequest(2 * time.Hour); !errors.Is(err, ErrDraining) || time.Since(start) != after+LastCall {
					t.Errorf("drained after %v: %v after %v", after, err, time.Since(start))
				}
			}
			time.AfterFunc(LastCall-1, func() { write(t, peer, "a") })
			if err := c.WaitRequest(0); err != nil || c.r != nil {
				t.Errorf("a request at the last moment: %v", err)
			}
			if got, err := c.Reader().Peek(1); err != nil || string(got) != "a" {
				t.Errorf("%q, %v", got, err)
			}
			if err := c.WaitRequest(0); err != nil {
				t.Errorf("with a request at hand: %v", err)
			}
		})
	}
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) { // a request has begun
		time.AfterFunc(time.Hour, func() { write(t, peer, "a") })
		if err := c.WaitRequest(0); err != nil {
			t.Fatal(err)
		}
		c.Drain()
		if err := c.WaitRequest(0); err != nil {
			t.Errorf("with a byte at hand: %v", err)
		}
	})
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) { // not idle: what is read is read to its end
		write(t, peer, "a")
		if err := c.WaitRequest(0); err != nil {
			t.Fatal(err)
		}
		c.Drain()
		write(t, peer, "b")
		if got, err := c.Reader().Peek(2); err != nil || string(got) != "ab" {
			t.Errorf("%q, %v", got, err)
		}
		if err := c.WaitRequest(0); err != nil {
			t.Errorf("with a request at hand: %v", err)
		}
	})
}

// What has arrived when a wait ends is never left unread: the deadline of the
// wait may have passed before anybody looked.
func TestWaitTakesWhatArrived(t *testing.T) {
	for name, ends := range map[string]func(*testing.T) (net.Conn, net.Conn){
		"tcp":  func(t *testing.T) (net.Conn, net.Conn) { a, b := tcp(t); return a, b },
		"pipe": func(*testing.T) (net.Conn, net.Conn) { a, b := NewPipe("a", "b"); return a, b },
		"tls": func(t *testing.T) (net.Conn, net.Conn) {
			a, b := NewPipe("a", "b")
			server, client := tls.Server(a, serverConfig(t)), tls.Client(b, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the peer is ours
			done := make(chan error, 1)
			go func() { done <- client.Handshake() }()
			if err := server.Handshake(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			return server, client
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := ends(t)
			c := New(a)
			defer func() { _, _ = c.Close(), b.Close() }()
			if err := c.late(os.ErrDeadlineExceeded); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("nothing has arrived: %v", err)
			}
			if _, err := b.Write([]byte("ab")); err != nil {
				t.Fatal(err)
			}
			for until := time.Now().Add(time.Minute); time.Now().Before(until); runtime.Gosched() {
				if n, _ := c.look(); n > 0 { // over TCP it takes its time
					break
				}
			}
			_ = c.SetReadDeadline(time.Unix(1, 0))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("a read whose deadline has passed: %v", err)
			}
			if err := c.late(os.ErrDeadlineExceeded); err != nil {
				t.Fatalf("two bytes have arrived: %v", err)
			}
			if got, err := c.Reader().Peek(1); err != nil || string(got) != "a" {
				t.Errorf("%q, %v", got, err)
			}
			if got, err := c.Reader().Peek(2); err != nil || string(got) != "ab" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// filled writes to c until no more goes in, and returns the error.
func filled(c *Conn) error {
	block := make([]byte, 16<<10)
	for {
		if _, err := c.Write(block); err != nil {
			return err
		}
	}
}

func TestWriteLimits(t *testing.T) {
	for _, l := range []struct {
		timeout, notAfter time.Duration // from now; 0: none
		from, to          time.Duration
	}{
		{time.Minute, 0, 45 * time.Second, time.Minute},
		{0, time.Minute, time.Minute, time.Minute},
		{time.Minute, time.Second, time.Second, time.Second},
		{time.Second, time.Minute, 750 * time.Millisecond, time.Second},
	} {
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
			c.Timeout = l.timeout
			for range 3 {
				start := time.Now()
				if c.NotAfter = (time.Time{}); l.notAfter > 0 {
					c.NotAfter = start.Add(l.notAfter)
				}
				err := filled(c)
				if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d < l.from || d > l.to {
					t.Errorf("%+v: %v after %v", l, err, d)
				}
				for c.out.Load() > 0 { // make room again
					n, err := io.CopyN(io.Discard, peer, c.out.Load())
					if err != nil {
						t.Fatal(err)
					}
					c.out.Add(-n)
				}
			}
			// Nothing is left over for a write without limits.
			c.Timeout, c.NotAfter = 0, time.Time{}
			time.AfterFunc(24*time.Hour, func() { _ = c.Close() })
			start := time.Now()
			if err := filled(c); !errors.Is(err, net.ErrClosed) || time.Since(start) != 24*time.Hour {
				t.Errorf("without limits: %v after %v", err, time.Since(start))
			}
		})
	}
	pair(t, func(t *testing.T, c *Conn, _ *PipeConn) { // somebody else's deadline stays, and goes
		_ = c.SetDeadline(time.Now().Add(time.Second))
		start := time.Now()
		if err := filled(c); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.Timeout = time.Minute
		_ = c.SetWriteDeadline(time.Time{})
		if err := filled(c); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	pair(t, func(t *testing.T, c *Conn, _ *PipeConn) { // a limit does not put it off
		c.Timeout = time.Minute
		write(t, c, "x")
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		start := time.Now()
		if err := filled(c); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestConnClose(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		write(t, c, "bye")
		if c.Closed() || c.Stale() {
			t.Error("closed when new")
		}
		_ = c.CloseWrite()
		wantRead(t, peer, "bye")
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after CloseWrite: %v", err)
		}
		write(t, peer, "x")
		wantRead(t, c, "x")
		if err := errors.Join(c.Close(), c.Close(), c.Abort()); err != nil || !c.Closed() || !c.Stale() {
			t.Errorf("closed twice: %v", err)
		}
		if c.BytesWritten() != 3 || c.BytesRead() != 1 {
			t.Errorf("counted %d, %d", c.BytesWritten(), c.BytesRead())
		}
	})
	// A connection that cannot be closed by halves is closed whole.
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	c := New(a)
	if _ = c.CloseWrite(); !c.Closed() {
		t.Error("neither half nor whole")
	}
}

// tcp returns both ends of a TCP connection.
func tcp(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// serverConfig is what a TLS server needs.
func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return srv.TLS.Clone()
}

func TestAbort(t *testing.T) {
	a, b := tcp(t)
	c := New(a)
	write(t, c, "half")
	if err := c.Abort(); err != nil || !c.Closed() {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err == nil {
		t.Errorf("%q looks whole", got)
	}
	// Over TLS nothing is said that would make the end an orderly one.
	a, b = tcp(t)
	client := tls.Client(b, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the peer is ours
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	c = New(a)
	if err := c.Secure(func(nc net.Conn) (net.Conn, error) {
		s := tls.Server(nc, serverConfig(t))
		return s, s.Handshake()
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	write(t, c, "half")
	_ = c.Abort()
	if got, err := io.ReadAll(client); err == nil {
		t.Errorf("%q looks whole", got)
	}
}

func TestStale(t *testing.T) {
	for name, ends := range map[string]func(*testing.T) (net.Conn, net.Conn){
		"tcp":  func(t *testing.T) (net.Conn, net.Conn) { a, b := tcp(t); return a, b },
		"pipe": func(*testing.T) (net.Conn, net.Conn) { a, b := NewPipe("a", "b"); return a, b },
	} {
		for _, c := range []struct {
			what string
			do   func(c *Conn, peer net.Conn)
			want bool
		}{
			{"nothing", func(*Conn, net.Conn) {}, false},
			{"an exchange", func(c *Conn, peer net.Conn) {
				_, _ = c.Write([]byte("x"))
				_, _ = io.ReadFull(peer, make([]byte, 1))
				_, _ = peer.Write([]byte("y"))
				_, _ = io.ReadFull(c, make([]byte, 1))
			}, false},
			{"a byte", func(_ *Conn, peer net.Conn) { _, _ = peer.Write([]byte("y")) }, true},
			{"half an end", func(_ *Conn, peer net.Conn) { _ = peer.(interface{ CloseWrite() error }).CloseWrite() }, true},
			{"the end", func(_ *Conn, peer net.Conn) { _ = peer.Close() }, true},
			{"a pipe that drains", func(_ *Conn, peer net.Conn) { New(peer).Drain() }, name == "pipe"},
			{"our own end", func(c *Conn, _ net.Conn) { _ = c.Close() }, true},
		} {
			a, b := ends(t)
			conn := New(a)
			c.do(conn, b)
			if c.want { // over TCP it takes its time
				for until := time.Now().Add(time.Minute); !conn.Stale() && time.Now().Before(until); {
					runtime.Gosched()
				}
			}
			if got := conn.Stale(); got != c.want {
				t.Errorf("%s, %s: stale %v", name, c.what, got)
			}
			_ = conn.Close()
			_ = b.Close()
		}
	}
	a, b := net.Pipe() // cannot be seen
	if New(a).Stale() {
		t.Error("net.Pipe is stale")
	}
	_, _ = a.Close(), b.Close()
}

// Buffers go back and forth between connections; none is used by two.
func TestBuffersUnderFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				client, server := NewPipe("a", "b")
				c := New(server)
				var answering sync.WaitGroup
				answering.Go(func() {
					buf := make([]byte, 100)
					for {
						n, err := client.Read(buf)
						if err != nil {
							return
						}
						_, _ = client.Write(buf[:n])
					}
				})
				for j := range 100 {
					want := strings.Repeat(string(rune('a'+i)), j%50+1)
					_, _ = c.Writer().WriteString(want)
					if err := c.Writer().Flush(); err != nil {
						t.Error(err)
					}
					if err := c.WaitRequest(0); err != nil {
						t.Error(err)
					}
					got := make([]byte, len(want))
					if _, err := io.ReadFull(c.Reader(), got); err != nil || string(got) != want {
						t.Errorf("%q, %v, want %q", got, err, want)
					}
					c.Release()
				}
				_ = c.Close()
				c.Free()
				_ = client.Close()
				answering.Wait()
			})
		}
		wg.Wait()
	})
}
