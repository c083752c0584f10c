package testserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestProcesses: every server comes up, goes down with all its processes, and comes
// up again at the same place.
func TestProcesses(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *Process{
		"ZooKeeper": ZooKeeper, "Mongo": Mongo, "Postgres": Postgres, "MariaDB": MariaDB, "Memcached": Memcached,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			answers := func() { t.Helper(); Eventually(t, Patience, func() error { return p.ready(p.Addr) }) }
			answers()
			addr := p.Addr
			p.Stop()
			p.Stop()
			if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
				_ = c.Close()
				t.Fatal("a stopped server accepts connections")
			}
			p.Start()
			if p.Addr != addr {
				t.Fatalf("after Start at %s, was %s", p.Addr, addr)
			}
			answers()
			p.Pause()
			p.Resume()
			answers()
		})
	}
}

func TestLink(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close() //nolint:errcheck // the test is over
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	l := NewLink(t, echo.Addr().String())
	dial := func() net.Conn {
		t.Helper()
		c, err := net.DialTimeout("tcp", l.Addr, Patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// ask sends a byte and waits that long for it to come back.
	ask := func(c net.Conn, wait time.Duration) error {
		if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		got := make([]byte, 1)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte("x")) {
			return errors.Join(err, errors.New("no echo"))
		}
		return nil
	}
	c := dial()
	if err := ask(c, Patience); err != nil {
		t.Fatal(err)
	}
	l.Delay(50 * time.Millisecond)
	if start := time.Now(); ask(c, Patience) != nil || time.Since(start) < 100*time.Millisecond {
		t.Errorf("a delay of 50ms each way: an answer after %s", time.Since(start))
	}
	l.Mend()
	l.Hold()
	if err := ask(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a link on hold: %v, want no answer", err)
	}
	l.Mend()
	c = dial()
	l.Cut()
	if err := ask(c, Patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a link that was cut: %v, want a broken connection", err)
	}
	if err := ask(dial(), Patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a link that is cut: %v, want a broken connection", err)
	}
	l.Mend()
	if err := ask(dial(), Patience); err != nil {
		t.Errorf("after Mend: %v", err)
	}
}
