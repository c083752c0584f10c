package udp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
	"github.com/ottavo-runtime/ottavo/proxy/udp"
)

// memory is a net.PacketConn in memory: the test is all its clients.
type memory struct {
	in, out chan datagram
	once    sync.Once
	closed  chan struct{}
}

type datagram struct {
	client string
	text   string
}

func newMemory() *memory {
	return &memory{in: make(chan datagram), out: make(chan datagram, 100), closed: make(chan struct{})}
}

func (m *memory) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-m.in:
		return copy(b, d.text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(d.client)), nil
	case <-m.closed:
		return 0, nil, net.ErrClosed
	}
}

func (m *memory) WriteTo(b []byte, to net.Addr) (int, error) {
	m.out <- datagram{to.String(), string(b)}
	return len(b), nil
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53} }
func (m *memory) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (m *memory) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (m *memory) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// inBubble runs a Proxy in fake time. hosts yields the host's end of each
// session; serve says whether the host answers by itself (with an echo).
func inBubble(t *testing.T, cfg config.UDPProxy, serve bool, f func(t *testing.T, m *memory, p *udp.Proxy, records chan l4.Record)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m, records := newMemory(), make(chan l4.Record, 100)
		var hosts sync.WaitGroup
		p, err := udp.New(cfg, udp.Deps{
			Dial: func(context.Context, l4.Attempt) (l4.Upstream, error) {
				near, far := net.Pipe() // keeps datagrams apart
				if serve {
					hosts.Go(func() {
						b := make([]byte, 2000)
						for {
							n, err := far.Read(b)
							if err != nil {
								return
							}
							_, _ = far.Write(b[:n])
						}
					})
				}
				return l4.Upstream{Conn: near, Host: "pipe"}, nil
			},
			Record: func(r l4.Record) { records <- r },
		})
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := p.Serve(ctx, m); err != nil {
				t.Error(err)
			}
		})
		f(t, m, p, records)
		cancel()
		serving.Wait()
		hosts.Wait()
		if n := p.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	cfg := config.UDPProxy{L4Proxy: config.L4Proxy{Cluster: "c"}} // 5 s
	inBubble(t, cfg, true, func(t *testing.T, m *memory, p *udp.Proxy, records chan l4.Record) {
		begin := time.Now()
		for range 5 {
			m.in <- datagram{"10.0.0.1:1000", "ping"}
			if d := <-m.out; d != (datagram{"10.0.0.1:1000", "ping"}) {
				t.Errorf("%+v", d)
			}
			time.Sleep(4 * time.Second)
		}
		r := <-records // 5 s after the last datagram
		if passed := time.Since(begin); passed != 21*time.Second || r.Duration != passed || r.End != l4.Idle || r.Err != nil || r.Sent != 20 || r.Received != 20 {
			t.Errorf("after %v: %+v", passed, r)
		}
		if st := p.Stats(); st.Sessions != 0 || st.Opened != 1 {
			t.Errorf("%+v", st)
		}
		m.in <- datagram{"10.0.0.1:1000", "again"}
		if d := <-m.out; d.text != "again" {
			t.Errorf("%+v", d)
		}
		if st := p.Stats(); st.Opened != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// TestExpiry: the limit is for clients at a time.
func TestExpiry(t *testing.T) {
	t.Parallel()
	cfg := config.UDPProxy{L4Proxy: config.L4Proxy{Cluster: "c", IdleTimeout: time.Second}, MaxSessions: 10}
	inBubble(t, cfg, true, func(t *testing.T, m *memory, p *udp.Proxy, _ chan l4.Record) {
		for round := range 3 {
			for i := range 15 {
				m.in <- datagram{fmt.Sprintf("10.0.0.1:%d", 1000+i), "x"}
			}
			synctest.Wait()
			if st := p.Stats(); st.Sessions != 10 || st.Opened != int64(10*(round+1)) || st.Refused != int64(5*(round+1)) {
				t.Errorf("round %d: %+v", round, st)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if st := p.Stats(); st.Sessions != 0 {
				t.Errorf("round %d: %+v", round, st)
			}
		}
	})
}

// TestStuckHost: a host that takes nothing costs others next to nothing.
func TestStuckHost(t *testing.T) {
	t.Parallel()
	cfg := config.UDPProxy{L4Proxy: config.L4Proxy{Cluster: "c"}}
	inBubble(t, cfg, false, func(t *testing.T, m *memory, p *udp.Proxy, _ chan l4.Record) {
		begin := time.Now()
		for range 10 {
			m.in <- datagram{"10.0.0.1:1000", "x"}
			time.Sleep(100 * time.Millisecond)
		}
		if st := p.Stats(); st.Dropped != 10 {
			t.Errorf("%+v", st)
		}
		if passed := time.Since(begin); passed > 2*time.Second {
			t.Errorf("that took %v", passed)
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	p, err := udp.New(toCluster, udp.Deps{Dial: dialOf("127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	if err := p.Serve(ctx, m); err != nil {
		t.Error(err)
	}
	if _, _, err := m.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open: %v", err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
