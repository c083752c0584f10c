package frametest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// halfClosed: a caller that has said all it wants to say gets its answers, and
// then the end.
func (s *suite) halfClosed() {
	calls := int(min(20, s.codec.MaxID()))
	v := s.serve(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		select {
		case <-time.After(5 * time.Second):
			return echo(ctx, req)
		case <-ctx.Done():
			s.Error("a call is given up")
			return nil, stream.FromContext(ctx, "test")
		}
	}), nil)
	var all [][]byte
	for id := range calls {
		all = append(all, s.withID(s.samples.Request, uint64(id+1)))
	}
	go func() {
		v.send(all...)
		_ = v.Conn.(*conn.PipeConn).CloseWrite()
	}()
	synctest.Wait()
	v.conn.Drain() // as is due anyway
	s.answered(v.peer, calls)
	v.ended()
	if err := <-v.over; err != nil || v.conn.Cause() != conn.RemoteClose {
		s.Errorf("ServeConn returned %v, the cause is %v", err, v.conn.Cause())
	}
}

// answered fails the test if there are no answers to the ids from 1 to calls.
func (s *suite) answered(p *peer, calls int) {
	s.Helper()
	want := s.decode(s.samples.Request).Payload()
	seen := make([]bool, calls+1)
	for range calls {
		m := p.receive(frame.Response)
		if m.ID == 0 || m.ID > uint64(calls) || seen[m.ID] || m.Status != 200 || !bytes.Equal(m.Payload(), want) {
			s.Fatalf("the answer is %+v", m)
		}
		seen[m.ID] = true
	}
}

// sockets: the same over TCP, where a caller that has closed its socket looks like
// one that has only ended its direction.
func (s *suite) sockets() {
	const calls = 3
	for name, c := range map[string]struct {
		leave func(*net.TCPConn) error
		// let is the id that is answered first; 0 is none.
		let      uint64
		answered bool // the caller gets its answers, else they are given up
	}{
		"half":         {(*net.TCPConn).CloseWrite, 0, true},
		"half, before": {(*net.TCPConn).CloseWrite, 1, true},
		"reset":        {reset, 0, false},
		"half, then reset": {func(nc *net.TCPConn) error {
			return errors.Join(nc.CloseWrite(), reset(nc))
		}, 0, false},
		"closed": {(*net.TCPConn).Close, 1, false},
	} {
		s.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" && !c.answered {
				t.Skip("only on Linux is it seen at once that a caller has gone")
			}
			s := &suite{t, s.codec, s.samples}
			came, let, rest := make(chan struct{}, calls), make(chan struct{}, calls), make(chan struct{})
			given := make(chan struct{}, calls)
			h := stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
				came <- struct{}{}
				select {
				case <-let:
				case <-rest:
				case <-ctx.Done():
					given <- struct{}{}
					return nil, stream.FromContext(ctx, "test")
				}
				return echo(ctx, req)
			})
			nc, over := s.listen(h)
			p := &peer{Conn: nc, s: s}
			for id := range uint64(calls) {
				p.send(s.withID(s.samples.Request, id+1))
			}
			for range calls {
				wait(t, came, "a call")
			}
			if err := c.leave(nc); err != nil {
				t.Fatal(err)
			}
			if c.let > 0 {
				let <- struct{}{}
			}
			if c.answered {
				close(rest)
				s.answered(p, calls)
				p.ended()
			} else {
				for range calls - int(c.let) {
					wait(t, given, "the end of a call")
				}
			}
			if err := wait(t, over, "the end of the connection"); c.answered && err != nil {
				t.Errorf("ServeConn returned %v", err)
			}
		})
	}
}

// reset ends a connection as a process does that is killed with something unread.
func reset(nc *net.TCPConn) error { return errors.Join(nc.SetLinger(0), nc.Close()) }

// wait takes what comes, in any time but for ever.
func wait[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not come", what)
	}
	return v
}

// listen has h answer one connection over TCP, and returns the caller's end.
func (s *suite) listen(h stream.Handler) (*net.TCPConn, <-chan error) {
	s.Helper()
	srv, err := frame.New(s.codec, frame.Options{}).NewServer(protocol.ServerOptions{})
	if err != nil {
		s.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		s.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		s.Fatal(err)
	}
	over := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		c := conn.New(far)
		err := srv.ServeConn(ctx, c, h)
		_ = c.Close()
		c.Free()
		over <- err
	})
	s.Cleanup(func() {
		_ = nc.Close()
		cancel()
		serving.Wait()
	})
	return nc.(*net.TCPConn), over
}
