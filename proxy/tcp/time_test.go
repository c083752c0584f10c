package tcp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/tcp"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// bubble is a Proxy between pipes, in fake time.
type bubble struct {
	client, host net.Conn
	record       chan l4.Record
	cancel       context.CancelFunc
	begin        time.Time
}

func inBubble(t *testing.T, idle time.Duration, f func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{record: make(chan l4.Record, 1), begin: time.Now()}
		near, far := conn.Pipe()
		b.host = far
		cfg := toCluster
		cfg.IdleTimeout = idle
		p, err := tcp.New(cfg, tcp.Deps{Dial: func(context.Context, l4.Attempt) (l4.Upstream, error) {
			return l4.Upstream{Conn: near, Host: "pipe"}, nil
		}, Record: func(r l4.Record) { b.record <- r }})
		if err != nil {
			t.Fatal(err)
		}
		client, end := conn.Pipe()
		b.client = client
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.cancel = cancel
		go func() {
			c := conn.New(end)
			_ = p.ServeConn(ctx, c)
			c.Free()
			_ = c.Close()
		}()
		defer func() {
			_ = b.client.Close()
			_ = b.host.Close()
		}()
		f(t, b)
	})
}

func (b *bubble) passed() time.Duration { return time.Since(b.begin) }

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, 30*time.Second, func(t *testing.T, b *bubble) {
		expectEOF(t, b.client)
		expectEOF(t, b.host)
		if b.passed() != 30*time.Second {
			t.Errorf("closed after %v", b.passed())
		}
		if r := <-b.record; r.End != l4.Idle || r.Duration != 30*time.Second || r.Err != nil {
			t.Errorf("record %+v", r)
		}
	})
}

func TestIdleTimeoutAfterTraffic(t *testing.T) {
	t.Parallel()
	inBubble(t, 30*time.Second, func(t *testing.T, b *bubble) {
		time.Sleep(10 * time.Second)
		send(t, b.client, "x")
		expect(t, b.host, "x")
		time.Sleep(29 * time.Second)
		send(t, b.host, "y")
		expect(t, b.client, "y")
		expectEOF(t, b.client)
		if b.passed() != 69*time.Second {
			t.Errorf("closed after %v", b.passed())
		}
	})
}

// TestIdleOneDirection: what one side says keeps the other side's silence, also
// after that has ended its direction.
func TestIdleOneDirection(t *testing.T) {
	t.Parallel()
	for _, halfClosed := range []bool{false, true} {
		inBubble(t, 5*time.Second, func(t *testing.T, b *bubble) {
			if halfClosed {
				closeWrite(t, b.host)
				expectEOF(t, b.client)
			}
			for range 100 {
				time.Sleep(4 * time.Second)
				send(t, b.client, "x")
				expect(t, b.host, "x")
			}
			closeWrite(t, b.client)
			expectEOF(t, b.host)
			if b.passed() != 400*time.Second {
				t.Errorf("ended after %v", b.passed())
			}
			closeWrite(t, b.host)
			want := l4.ClientClosed
			if halfClosed {
				want = l4.HostClosed
			}
			if r := <-b.record; r.End != want || r.Sent != 100 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestNoIdleTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, b *bubble) {
		time.Sleep(1000 * time.Hour)
		send(t, b.client, "x")
		expect(t, b.host, "x")
	})
}

// TestStalledReader: who does not read stalls who writes, and nothing is lost
// when it reads again.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, func(t *testing.T, b *bubble) {
		var sent atomic.Int64
		go func() {
			chunk := make([]byte, 1000)
			for sent.Load() < 10<<20 {
				n, err := b.client.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					t.Error(err)
					return
				}
			}
			closeWrite(t, b.client)
		}()
		time.Sleep(30 * time.Second)
		stalled := sent.Load()
		if stalled > 2*64<<10+32<<10 {
			t.Errorf("%d bytes were taken from a client whose host reads nothing", stalled)
		}
		time.Sleep(20 * time.Second)
		if sent.Load() != stalled {
			t.Error("the writer went on")
		}
		n, err := io.Copy(io.Discard, b.host)
		if err != nil || n != sent.Load() {
			t.Errorf("the host got %d of %d bytes, %v", n, sent.Load(), err)
		}
	})
}

// TestStalledForGood: a stall is no activity.
func TestStalledForGood(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, func(t *testing.T, b *bubble) {
		_, err := b.client.Write(make([]byte, 1<<20))
		if !errors.Is(err, io.ErrClosedPipe) || b.passed() != time.Minute {
			t.Errorf("%v after %v", err, b.passed())
		}
		if r := <-b.record; r.End != l4.Idle {
			t.Errorf("record %+v", r)
		}
	})
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, b *bubble) {
		time.Sleep(time.Second)
		b.cancel()
		expectEOF(t, b.client)
		expectEOF(t, b.host)
		if r := <-b.record; r.End != l4.Stopped || r.Duration != time.Second {
			t.Errorf("record %+v", r)
		}
	})
}

// TestLargeThenQuiet: what came in large pieces goes on after a pause, in
// which the large buffer was given back.
func TestLargeThenQuiet(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Hour, func(t *testing.T, b *bubble) {
		for _, size := range []int{100_000, 1, 300, 70_000} {
			go func() { _, _ = b.client.Write(make([]byte, size)) }()
			if _, err := io.ReadFull(b.host, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		_ = b.host.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.host.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("then came %v", err)
		}
	})
}

// TestNoHalfClose: a connection that cannot end one direction is closed when it should.
func TestNoHalfClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := conn.Pipe()
		record := make(chan l4.Record, 1)
		p, err := tcp.New(toCluster, tcp.Deps{Dial: func(context.Context, l4.Attempt) (l4.Upstream, error) {
			return l4.Upstream{Conn: struct{ net.Conn }{near}, Host: "pipe"}, nil
		}, Record: func(r l4.Record) { record <- r }})
		if err != nil {
			t.Fatal(err)
		}
		client, end := conn.Pipe()
		go func() { _ = p.ServeConn(t.Context(), conn.New(end)) }()
		send(t, client, "bye")
		closeWrite(t, client)
		expect(t, far, "bye")
		expectEOF(t, far)
		expectEOF(t, client)
		if r := <-record; r.End != l4.ClientClosed || r.Err != nil {
			t.Errorf("record %+v", r)
		}
	})
}
