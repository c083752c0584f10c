package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

func TestPipeIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = Pipe()
		return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
	})
}

// pipe runs test in a bubble, with both ends of a new pipe closed at its end.
// The bubble fails the test when a goroutine is left.
func pipe(t *testing.T, test func(t *testing.T, client, server *PipeConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := NewPipe("shop", "sidecar")
		defer func() { _ = client.Close() }()
		defer func() { _ = server.Close() }()
		test(t, client, server)
	})
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b, err, want)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := io.WriteString(c, s); n != len(s) || err != nil {
		t.Fatalf("write %q: %d, %v", s, n, err)
	}
}

// startRead reads once on a goroutine that is blocked when startRead returns.
func startRead(c net.Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 10))
		done <- err
	}()
	synctest.Wait()
	return done
}

// startWrite writes size bytes on a goroutine that is blocked, or has
// finished, when startWrite returns.
func startWrite(c net.Conn, size int) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		done <- err
	}()
	synctest.Wait()
	return done
}

func blocked(t *testing.T, done <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		t.Fatalf("returned with error %v, want it to wait", err)
	default:
	}
}

func TestPipeNames(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		for _, a := range []struct {
			got  net.Addr
			want string
		}{
			{client.LocalAddr(), "shop"},
			{client.RemoteAddr(), "sidecar"},
			{server.LocalAddr(), "sidecar"},
			{server.RemoteAddr(), "shop"},
		} {
			if a.got.Network() != "pipe" || a.got.String() != a.want {
				t.Errorf("address %s %s, want pipe %s", a.got.Network(), a.got, a.want)
			}
		}
		_ = client.Close()
		_, err := client.Read(make([]byte, 1))
		if want := "read pipe shop->sidecar: use of closed network connection"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestPipeHalfClose(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		write(t, client, "question")
		_ = client.CloseWrite()
		wantRead(t, server, "question")
		_, err := server.Read(make([]byte, 1))
		wantErr(t, "read after the peer's CloseWrite", err, io.EOF)
		if _, wrapped := errors.AsType[*net.OpError](err); wrapped {
			t.Errorf("end is %#v, want io.EOF itself", err)
		}
		_, err = client.Write([]byte("x"))
		wantErr(t, "write after CloseWrite", err, io.ErrClosedPipe)

		write(t, server, "answer")
		wantRead(t, client, "answer")
		_ = server.Close()
		_, err = client.Read(make([]byte, 1))
		wantErr(t, "read after the peer's Close", err, io.EOF)
	})
}

func TestPipeCloseRead(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		write(t, client, "not read")
		waiting := startWrite(client, maxRing)
		blocked(t, waiting)
		_ = server.CloseRead()
		wantErr(t, "blocked write", <-waiting, io.ErrClosedPipe)
		_, err := server.Read(make([]byte, 1))
		wantErr(t, "read after CloseRead", err, io.EOF)
		_, err = client.Write([]byte("x"))
		wantErr(t, "write to one who does not read", err, io.ErrClosedPipe)
		write(t, server, "still here")
		wantRead(t, client, "still here")
	})
}

func TestPipeCloseDrains(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		write(t, server, "unread by the closing end")
		write(t, client, "last words")
		_ = client.Close()
		if err := client.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		_, err := server.Write([]byte("x"))
		wantErr(t, "write after the peer's Close", err, io.ErrClosedPipe)
		wantRead(t, server, "last words")
		_, err = server.Read(make([]byte, 1))
		wantErr(t, "read of the drained pipe", err, io.EOF)

		_, err = client.Read(make([]byte, 1))
		wantErr(t, "own read", err, net.ErrClosed)
		_, err = client.Write([]byte("x"))
		wantErr(t, "own write", err, net.ErrClosed)
		wantErr(t, "own deadline", client.SetDeadline(time.Now()), net.ErrClosed)
	})
}

func TestPipeWakesReader(t *testing.T) {
	for _, c := range []struct {
		name string
		wake func(client, server *PipeConn)
		want error
	}{
		{"data", func(c, _ *PipeConn) { _, _ = c.Write([]byte("x")) }, nil},
		{"several slices", func(c, _ *PipeConn) { _, _ = c.Writev([][]byte{nil, []byte("x")}) }, nil},
		{"peer's Close", func(c, _ *PipeConn) { _ = c.Close() }, io.EOF},
		{"peer's CloseWrite", func(c, _ *PipeConn) { _ = c.CloseWrite() }, io.EOF},
		{"own Close", func(_, s *PipeConn) { _ = s.Close() }, net.ErrClosed},
		{"own CloseRead", func(_, s *PipeConn) { _ = s.CloseRead() }, io.EOF},
		{"past deadline", func(_, s *PipeConn) { _ = s.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"coming deadline", func(_, s *PipeConn) { _ = s.SetDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			pipe(t, func(t *testing.T, client, server *PipeConn) {
				done := startRead(server)
				blocked(t, done)
				c.wake(client, server)
				if err := <-done; !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestPipeWakesWriter(t *testing.T) {
	for _, c := range []struct {
		name string
		wake func(client, server *PipeConn)
		want error
	}{
		{"room", func(_, s *PipeConn) { _, _ = io.ReadFull(s, make([]byte, maxRing)) }, nil},
		{"peer's Close", func(_, s *PipeConn) { _ = s.Close() }, io.ErrClosedPipe},
		{"peer's CloseRead", func(_, s *PipeConn) { _ = s.CloseRead() }, io.ErrClosedPipe},
		{"own Close", func(c, _ *PipeConn) { _ = c.Close() }, net.ErrClosed},
		{"own CloseWrite", func(c, _ *PipeConn) { _ = c.CloseWrite() }, io.ErrClosedPipe},
		{"past deadline", func(c, _ *PipeConn) { _ = c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"coming deadline", func(c, _ *PipeConn) { _ = c.SetDeadline(time.Now().Add(time.Hour)) }, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			pipe(t, func(t *testing.T, client, server *PipeConn) {
				first, second := startWrite(client, maxRing+1), startWrite(client, 1)
				blocked(t, first)
				blocked(t, second) // it must not overtake
				c.wake(client, server)
				for _, done := range []<-chan error{first, second} {
					if err := <-done; !errors.Is(err, c.want) {
						t.Errorf("error %v, want %v", err, c.want)
					}
				}
			})
		})
	}
}

func TestPipeDeadlines(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		start := time.Now()
		took := func(want time.Duration) {
			t.Helper()
			if d := time.Since(start); d != want {
				t.Fatalf("%v have passed, want %v", d, want)
			}
		}
		// Put off while a reader waits: the timer that is set already
		// must not end the wait.
		_ = server.SetReadDeadline(start.Add(time.Second))
		done := startRead(server)
		_ = server.SetReadDeadline(start.Add(time.Minute))
		wantErr(t, "deadline put off", <-done, os.ErrDeadlineExceeded)
		took(time.Minute)
		// It stays expired until it is set anew, whatever there is to read.
		write(t, client, "x")
		_, err := server.Read(make([]byte, 1))
		wantErr(t, "read past the deadline", err, os.ErrDeadlineExceeded)
		_ = server.SetReadDeadline(time.Time{})
		wantRead(t, server, "x")
		// Brought forward while a reader waits.
		_ = server.SetReadDeadline(start.Add(time.Hour))
		done = startRead(server)
		_ = server.SetReadDeadline(start.Add(2 * time.Minute))
		wantErr(t, "deadline brought forward", <-done, os.ErrDeadlineExceeded)
		took(2 * time.Minute)
		// Taken away while a reader waits.
		_ = server.SetReadDeadline(start.Add(3 * time.Minute))
		done = startRead(server)
		_ = server.SetReadDeadline(time.Time{})
		time.Sleep(time.Hour)
		blocked(t, done)
		write(t, client, "x")
		wantErr(t, "no deadline", <-done, nil)
		// The deadlines of the two directions and of the two ends are four.
		_ = server.SetReadDeadline(time.Unix(1, 0))
		write(t, server, "x")
		wantRead(t, client, "x")
		write(t, client, "x")
		// A deadline that passes while nobody waits.
		_ = client.SetDeadline(time.Now().Add(time.Second))
		time.Sleep(time.Second)
		_, err = client.Write([]byte("x"))
		wantErr(t, "write past the deadline", err, os.ErrDeadlineExceeded)
	})
}

func TestPipeTimeoutIsANetError(t *testing.T) {
	c, _ := Pipe()
	_ = c.SetDeadline(time.Unix(1, 0))
	_, err := c.Read(make([]byte, 1))
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() {
		t.Errorf("error %v is not a net.Error with Timeout", err)
	}
}

func TestPipeBackPressure(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		sent := make([]byte, 10*maxRing+123)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		done := make(chan error, 1)
		go func() {
			n, err := client.Write(sent)
			if n != len(sent) && err == nil {
				err = io.ErrShortWrite
			}
			_ = client.CloseWrite()
			done <- err
		}()
		var got []byte
		for chunk := 1; ; chunk = chunk*3%50_000 + 1 {
			synctest.Wait()
			half := server.in
			if len(half.ring) > maxRing || half.count > maxRing {
				t.Fatalf("a direction holds %d bytes in %d", half.count, len(half.ring))
			}
			if len(got)+half.count < len(sent) {
				blocked(t, done)
			}
			b := make([]byte, chunk)
			n, err := server.Read(b)
			got = append(got, b[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatal("the bytes that arrived are not those that were sent")
		}
	})
}

// A message that wraps around the end of the ring, and one that makes a
// wrapped ring grow, arrive whole.
func TestPipeRingWraps(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		next, want := byte(0), byte(0)
		send := func(n int) {
			b := make([]byte, n)
			for i := range b {
				b[i] = next
				next += 3
			}
			write(t, client, string(b))
		}
		receive := func(n int) {
			t.Helper()
			b := make([]byte, n)
			if _, err := io.ReadFull(server, b); err != nil {
				t.Fatal(err)
			}
			for i := range b {
				if b[i] != want {
					t.Fatalf("byte %d is %d, want %d", i, b[i], want)
				}
				want += 3
			}
		}
		for _, ring := range []int{smallRing, mediumRing, maxRing} {
			send(ring - 10)
			receive(ring - 100)
			send(ring - 200) // wraps
			receive(20)
			if ring < maxRing {
				send(ring) // grows
			}
			receive(server.in.count)
			if server.in.ring != nil {
				t.Fatalf("an empty direction holds %d bytes", len(server.in.ring))
			}
		}
	})
}

func TestPipeIdleHoldsNothing(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		write(t, client, "x")
		if n := len(server.in.ring); n != smallRing {
			t.Errorf("one byte is held in %d, want %d", n, smallRing)
		}
		wantRead(t, server, "x")
		write(t, client, "y")
		_ = server.Close()
		if client.in.ring != nil || server.in.ring != nil {
			t.Error("an idle or closed pipe holds a buffer")
		}
	})
}

func TestPipeEmptyReadAndWrite(t *testing.T) {
	pipe(t, func(t *testing.T, client, server *PipeConn) {
		if n, err := client.Write(nil); n != 0 || err != nil {
			t.Errorf("empty write: %d, %v", n, err)
		}
		if n, err := server.Read(nil); n != 0 || err != nil {
			t.Errorf("empty read: %d, %v", n, err)
		}
		if server.in.ring != nil {
			t.Error("an empty write took a buffer")
		}
		_ = client.Close()
		_, err := client.Write(nil)
		wantErr(t, "empty write after Close", err, net.ErrClosed)
	})
}

// Whole writes of several goroutines do not mix, though each has to wait for room.
func TestPipeWritesDoNotMix(t *testing.T) {
	client, server := Pipe()
	const writers, size = 4, 3*maxRing + 17
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			b := bytes.Repeat([]byte{byte('a' + i)}, size)
			if i%2 == 0 {
				_, _ = client.(*PipeConn).Writev([][]byte{b[:5], b[5 : size-1], nil, b[size-1:]})
			} else {
				_, _ = client.Write(b)
			}
		})
	}
	go func() {
		wg.Wait()
		_ = client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || len(got) != writers*size {
		t.Fatalf("got %d bytes, %v, want %d", len(got), err, writers*size)
	}
	for i := 0; i < len(got); i += size {
		if one := got[i : i+size]; bytes.Count(one, one[:1]) != size {
			t.Fatalf("message %d is mixed with another", i/size)
		}
	}
}

// Close from both ends and from several goroutines, while both directions are
// busy, ends every Read and Write.
func TestPipeConcurrentClose(t *testing.T) {
	for range 200 {
		a, b := NewPipe("a", "b")
		var wg sync.WaitGroup
		for _, c := range []*PipeConn{a, b} {
			wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
			wg.Go(func() {
				for {
					if _, err := c.Write(make([]byte, 5000)); err != nil {
						return
					}
				}
			})
			wg.Go(func() { _ = c.SetDeadline(time.Now().Add(time.Minute)) })
			wg.Go(func() { _ = c.Close() })
			wg.Go(func() { _ = c.CloseWrite() })
			wg.Go(func() { _ = c.Close() })
		}
		wg.Wait()
		if a.in.ring != nil || b.in.ring != nil {
			t.Fatal("a closed pipe holds a buffer")
		}
	}
}

func TestPipeAllocations(t *testing.T) {
	client, server := NewPipe("a", "b")
	msg, buf := make([]byte, 1000), make([]byte, 1000)
	bufs := [][]byte{msg[:100], msg[100:]}
	if n := testing.AllocsPerRun(1000, func() {
		_ = client.SetWriteDeadline(time.Now().Add(time.Minute))
		_ = server.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = client.Write(msg)
		_, _ = io.ReadFull(server, buf)
		_, _ = client.Writev(bufs)
		_, _ = io.ReadFull(server, buf)
	}); n >= 1 {
		t.Errorf("%v allocations per message, want none", n)
	}
}

// Whoever closes its end hears nothing that the other end says to that.
func TestPipeCloseIsTheLastWord(t *testing.T) {
	for range 2000 {
		here, there := NewPipe("here", "there")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = there.Read(make([]byte, 1))
			_, _ = there.Write([]byte("an answer"))
		}()
		got := make(chan int)
		go func() {
			n, _ := here.Read(make([]byte, 16))
			got <- n
		}()
		_ = here.Close()
		if n := <-got; n != 0 {
			t.Fatalf("read %d bytes that were written after the end", n)
		}
		<-done
		_ = there.Close()
	}
}
