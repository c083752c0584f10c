package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// expires checks that act fails by its deadline, and exactly so long after now.
func expires(t *testing.T, after time.Duration, act func() error) {
	t.Helper()
	begin := time.Now()
	if err := act(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v, want a deadline that has passed", err)
	}
	if took := time.Since(begin); took != after {
		t.Fatalf("the deadline has passed after %v, want %v", took, after)
	}
}

// in has a function called after a time, and waits for its end with the test.
func in(t *testing.T, after time.Duration, do func()) {
	t.Helper()
	done := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		defer close(done)
		do()
	})
	t.Cleanup(func() {
		if !timer.Stop() {
			<-done
		}
	})
}

// TestReadDeadline: the last deadline counts, to the moment, whatever ones there
// were before.
func TestReadDeadline(t *testing.T) {
	const s = time.Second
	read := func(c *Conn) func() error {
		return func() error {
			_, err := c.Read(make([]byte, 8))
			return err
		}
	}
	for _, test := range []struct {
		name   string
		before []time.Duration // deadlines that were set; 0 is none
		last   time.Duration
		pass   time.Duration // time that passes before the last is set
	}{
		{"once", nil, 3 * s, 0},
		{"put off", []time.Duration{s}, 3 * s, 0},
		{"put off when it had passed", []time.Duration{s}, 3 * s, 2 * s},
		{"put off often", []time.Duration{s, 2 * s, 0, 5 * s}, 9 * s, 0},
		{"moved forward", []time.Duration{9 * s}, 2 * s, 0},
		{"taken back and set", []time.Duration{s, 0}, 4 * s, 0},
		{"put off and moved forward", []time.Duration{2 * s, 9 * s}, s, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
				set := func(d time.Duration) {
					at := time.Time{}
					if d != 0 {
						at = time.Now().Add(d)
					}
					if err := c.SetReadDeadline(at); err != nil {
						t.Fatal(err)
					}
				}
				for _, d := range test.before {
					set(d)
				}
				time.Sleep(test.pass)
				set(test.last)
				expires(t, test.last, read(c))
				expires(t, 0, read(c))
			})
		})
	}
}

// TestReadDeadlineWhileReading: a deadline that is put off, taken back or moved
// forward holds for a read that waits.
func TestReadDeadlineWhileReading(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		buf := make([]byte, 8)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		in(t, 500*time.Millisecond, func() { _ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) })
		expires(t, 5500*time.Millisecond, func() error {
			_, err := c.Read(buf)
			return err
		})

		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_ = c.SetReadDeadline(time.Time{})
		in(t, time.Hour, func() { _, _ = peer.Write([]byte("late")) })
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "late" {
			t.Fatalf("without a deadline: %q, %v", buf[:n], err)
		}

		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		in(t, time.Second, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		expires(t, time.Second, func() error {
			_, err := c.Read(buf)
			return err
		})
		_ = c.SetReadDeadline(time.Time{})
		_, _ = peer.Write([]byte("after"))
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "after" {
			t.Fatalf("after an interruption: %q, %v", buf[:n], err)
		}
	})
}

// TestDeadlinesBelow: who goes on with the connection below us finds the
// deadlines that were asked for last, and no earlier ones.
func TestDeadlinesBelow(t *testing.T) {
	earlier := func(t *testing.T, c *Conn) {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_ = c.SetReadDeadline(time.Time{})
		c.NotAfter = time.Now().Add(time.Second)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		c.NotAfter = time.Time{}
	}
	use := func(t *testing.T, nc net.Conn, peer *PipeConn) {
		t.Helper()
		in(t, time.Minute, func() {
			_, _ = peer.Write([]byte("y"))
			_, _ = io.ReadFull(peer, make([]byte, 1+2*maxRing))
		})
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			t.Errorf("read: %v", err)
		}
		if _, err := nc.Write(make([]byte, 2*maxRing)); err != nil {
			t.Errorf("write: %v", err)
		}
	}
	t.Run("SetDeadline", func(t *testing.T) {
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
			earlier(t, c)
			_ = c.SetDeadline(time.Time{})
			use(t, c.Conn, peer)
		})
	})
	t.Run("Secure", func(t *testing.T) {
		pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
			earlier(t, c)
			if err := c.Secure(func(nc net.Conn) (net.Conn, error) {
				use(t, nc, peer)
				return nc, nil
			}); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestWriteDeadlinePutOff: a write has all the time that it was given last, in
// one piece or more, and not more than that.
func TestWriteDeadlinePutOff(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name          string
		timeout       time.Duration
		first, second time.Duration // NotAfter of two writes; 0 is none
		pass          time.Duration // between them
		want          time.Duration // until the second fails; 0: it does not
	}{
		{"put off", 0, 2 * s, 9 * s, 0, 9 * s},
		{"put off when it had passed", 0, 2 * s, 9 * s, 3 * s, 9 * s},
		{"moved forward", 0, 9 * s, 2 * s, 0, 2 * s},
		{"taken back", 0, 2 * s, 0, 0, 0},
		{"a stall", 8 * s, 0, 0, 3 * s, 8 * s},
		{"a stall behind a deadline", 8 * s, 2 * s, 0, s, 8 * s},
		{"a deadline behind a stall", 8 * s, 0, 5 * s, s, 5 * s},
	} {
		t.Run(test.name, func(t *testing.T) {
			pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
				c.Timeout = test.timeout
				limit := func(d time.Duration) {
					if c.NotAfter = (time.Time{}); d != 0 {
						c.NotAfter = time.Now().Add(d)
					}
				}
				limit(test.first)
				if _, err := c.Write([]byte("first")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.pass)
				limit(test.second)
				data := bytes.Repeat([]byte("second"), maxRing/4)
				if test.want > 0 {
					n := 0
					expires(t, test.want, func() (err error) {
						n, err = c.Write(data)
						return err
					})
					if n != maxRing-len("first") || c.BytesWritten() != maxRing {
						t.Errorf("%d bytes written, %d counted, want all that there was room for", n, c.BytesWritten())
					}
					return
				}
				got := make(chan []byte, 1)
				in(t, time.Hour, func() {
					all, _ := io.ReadAll(peer)
					got <- all
				})
				if n, err := c.Write(data); n != len(data) || err != nil {
					t.Fatalf("%d of %d bytes, %v", n, len(data), err)
				}
				_ = c.Close()
				if all := <-got; string(all) != "first"+string(data) {
					t.Errorf("%d bytes came, and not those that were written", len(all))
				}
			})
		})
	}
}

// TestWriteInterrupted: a deadline that somebody else sets ends a write that waits.
func TestWriteInterrupted(t *testing.T) {
	pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
		c.Timeout = time.Minute
		_, _ = c.Write([]byte("x"))
		time.Sleep(30 * time.Second)
		in(t, time.Second, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
		expires(t, time.Second, func() error {
			_, err := c.Write(make([]byte, 2*maxRing))
			return err
		})
	})
}

// TestWriteDeadlineHolds: a deadline that somebody sets holds for every write until
// it is taken back, whatever time a single write has.
func TestWriteDeadlineHolds(t *testing.T) {
	write := func(c *Conn, n int) func() error {
		return func() error {
			_, err := c.Write(make([]byte, n))
			return err
		}
	}
	pair(t, func(t *testing.T, c *Conn, peer *PipeConn) {
		c.Timeout = time.Minute
		if err := write(c, maxRing)(); err != nil {
			t.Fatal(err)
		}
		_ = c.SetWriteDeadline(time.Now().Add(3 * time.Second))
		in(t, time.Second, func() { _, _ = io.ReadFull(peer, make([]byte, maxRing)) })
		begin := time.Now()
		if err := write(c, maxRing)(); err != nil {
			t.Fatal(err)
		}
		expires(t, 3*time.Second-time.Since(begin), write(c, 1))
		expires(t, 0, write(c, 1))
		_ = c.SetWriteDeadline(time.Time{})
		expires(t, time.Minute, write(c, 1))
	})
	pair(t, func(t *testing.T, c *Conn, _ *PipeConn) {
		c.Timeout = time.Minute
		_ = c.SetDeadline(time.Unix(1, 0))
		expires(t, 0, write(c, 2*maxRing))
	})
}
