package frametest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// splits: a frame may come in any pieces.
func (s *suite) splits() {
	v := s.serve(stream.HandlerFunc(echo), nil)
	f := s.samples.Request
	want := s.decode(f)
	check := func(how string) {
		s.Helper()
		if m := v.receive(frame.Response); m.ID != want.ID || !bytes.Equal(m.Payload(), want.Payload()) || m.Status != 200 {
			s.Fatalf("%s: the answer is %+v", how, m)
		}
	}
	for cut := 1; cut < len(f); cut++ {
		v.send(f[:cut])
		synctest.Wait()
		v.send(f[cut:])
		check("cut")
	}
	for i := range f {
		v.send(f[i : i+1])
		time.Sleep(10 * time.Millisecond)
	}
	check("byte by byte")
	// A frame and a part of the next, after a time in which nothing came.
	time.Sleep(time.Hour)
	half := len(f) / 2
	v.send(f, f[:half])
	check("whole")
	v.send(f[half:])
	check("rest")
	// A large one, with all around.
	large := s.large(1 << 20)
	v.send(f, large[:len(large)-1])
	check("before")
	v.send(large[len(large)-1:], f)
	if m := v.receive(frame.Response); len(m.Payload()) != 1<<20 {
		m2 := v.receive(frame.Response) // answers come in any order
		if len(m2.Payload()) != 1<<20 {
			s.Errorf("the large answers have %d and %d bytes", len(m.Payload()), len(m2.Payload()))
		}
	} else {
		check("after")
	}
}

// large returns the sample of a request with a payload of size bytes.
func (s *suite) large(size int) []byte {
	s.Helper()
	m := s.decode(s.samples.Request)
	built := *m
	built.Frame, built.Origin, built.Body = nil, m, bytes.Repeat([]byte{'x'}, size)
	f, err := s.codec.Append(nil, &built)
	if err != nil {
		s.Fatal(err)
	}
	return f
}

// pipelined: many frames at once.
func (s *suite) pipelined() {
	v := s.serve(stream.HandlerFunc(echo), nil)
	n := int(min(500, s.codec.MaxID()))
	var all []byte
	for id := range n {
		all = append(all, s.withID(s.samples.Request, uint64(id+1))...)
	}
	go func() {
		if _, err := v.Write(all); err != nil {
			s.Errorf("write: %v", err)
		}
	}()
	seen := make([]bool, n+1)
	for range n {
		m := v.receive(frame.Response)
		if m.ID == 0 || m.ID > uint64(n) || seen[m.ID] {
			s.Fatalf("an answer with id %d, which nobody waits for", m.ID)
		}
		seen[m.ID] = true
	}
	v.nothing()
}

// oneWay: no answer, whatever happens.
func (s *suite) oneWay() {
	f := s.samples.OneWay
	if f == nil {
		s.Skip("the protocol has none")
	}
	var got atomic.Int32
	v := s.serve(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		if got.Add(1); !req.OneWay {
			s.Error("the request does not say that it is one-way")
		}
		switch got.Load() {
		case 1:
			return stream.NoResponse, nil
		case 2:
			return answer([]byte("x")), nil
		}
		return nil, errors.New("no")
	}), nil)
	for range 3 {
		v.send(f)
		v.nothing()
	}
	if got.Load() != 3 {
		s.Errorf("%d requests", got.Load())
	}
	cl, host := s.dial(s.codec, frame.Options{HeartbeatInterval: -1})
	resp, err := cl.Handle(s.Context(), s.request(f))
	if resp != stream.NoResponse || err != nil {
		s.Fatalf("got %+v, %v", resp, err)
	}
	if m := host.receive(frame.OneWay); !bytes.Equal(m.Payload(), s.decode(f).Payload()) {
		s.Errorf("the host gets %+v", m)
	}
	// What was sent before Close arrives.
	if _, err := cl.Handle(s.Context(), s.request(f)); err != nil {
		s.Fatal(err)
	}
	_ = cl.Close()
	host.receive(frame.OneWay)
	host.ended()
}

// heartbeats are answered at both ends, with their ids, also while others work.
func (s *suite) heartbeats() {
	if s.samples.Heartbeat == nil {
		s.Skip("the protocol has none")
	}
	v := s.serve(stream.HandlerFunc(func(ctx context.Context, _ *stream.Request) (*stream.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}), nil)
	cl, host := s.dial(s.codec, frame.Options{})
	v.send(s.samples.Request)
	for _, p := range []*peer{v.peer, host} {
		for _, id := range []uint64{5, 6, s.codec.MaxID()} {
			p.send(s.withID(s.samples.Heartbeat, id))
			if m := p.receive(frame.HeartbeatReply); m.ID != id {
				s.Errorf("the answer to heartbeat %d has id %d", id, m.ID)
			}
		}
	}
	// A host that says nothing is asked; what it answers is enough.
	for range 20 {
		m := host.receive(frame.Heartbeat)
		host.send(s.withID(s.samples.HeartbeatReply, m.ID))
	}
	if err := cl.Err(); err != nil {
		s.Error(err)
	}
}

// goAway: the host says it, and what is under way goes on.
func (s *suite) goAway() {
	f := s.samples.GoAway
	if f == nil {
		s.Skip("the protocol has none")
	}
	cl, host := s.dial(s.codec, frame.Options{})
	done := s.ask(cl, s.samples.Request)
	m := host.receive(frame.Request)
	host.send(f)
	synctest.Wait()
	if cl.Err() == nil {
		s.Error("the client takes requests after go-away")
	}
	if _, err := cl.Handle(s.Context(), s.request(s.samples.Request)); err == nil || !stream.AsError(err).Retry {
		s.Errorf("a request after go-away: %v", err)
	}
	host.send(s.withID(s.samples.Response, m.ID))
	if err := <-done; err != nil {
		s.Errorf("the request that was under way: %v", err)
	}

	v := s.serve(stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
		time.Sleep(3 * time.Second)
		return echo(ctx, req)
	}), map[string]any{"enable_goaway": true})
	v.send(s.samples.Request)
	synctest.Wait()
	v.conn.Drain()
	if _, err := s.codec.Append(nil, &frame.Message{Type: frame.GoAway, Header: new(stream.Header)}); err == nil {
		v.receive(frame.GoAway)
	}
	v.receive(frame.Response)
	v.ended()
	if err := <-v.over; err != nil {
		s.Error(err)
	}
}

// rejecter is a handler that counts what is no request.
type rejecter struct {
	stream.Handler
	got chan *stream.Error
}

func (r rejecter) Reject(_ context.Context, _ *stream.Request, _ int, err *stream.Error) {
	r.got <- err
}

// oversize: a frame above the limit ends the connection, by its head.
func (s *suite) oversize() {
	h := rejecter{stream.HandlerFunc(echo), make(chan *stream.Error, 1)}
	v := s.serve(h, map[string]any{"max_frame_size": 4096})
	fits := s.large(4096 - (len(s.large(1000)) - 1000))
	v.send(fits)
	v.receive(frame.Response)
	large := s.large(4096)
	go func() { _, _ = v.Write(large[:300]) }() // which may not be taken
	v.ended()
	if err := <-v.over; err == nil || stream.AsError(err).Kind != stream.TooLarge {
		s.Errorf("ServeConn returned %v", err)
	}
	if e := <-h.got; e.Kind != stream.TooLarge || v.conn.Cause() != conn.ProtocolError {
		s.Errorf("the record tells of %v, the connection of %v", e, v.conn.Cause())
	}
	// A half frame is waited for, but not for ever.
	v = s.serve(h, map[string]any{"read_frame_timeout": "5s"})
	start := time.Now()
	v.send(s.samples.Request[:len(s.samples.Request)-1])
	v.ended()
	if took := time.Since(start); took != 5*time.Second {
		s.Errorf("a half frame is waited for %v", took)
	}
	if e := <-h.got; e.Kind != stream.Timeout {
		s.Errorf("the record tells of %v", e)
	}
}

// garbage ends the connection, at both ends.
func (s *suite) garbage() {
	for _, g := range append(slices.Clone(s.samples.Garbage), nil) {
		h := rejecter{stream.HandlerFunc(echo), make(chan *stream.Error, 1)}
		v := s.serve(h, nil)
		cl, host := s.dial(s.codec, frame.Options{})
		done := s.ask(cl, s.samples.Request)
		host.receive(frame.Request)
		if g == nil { // cut in the middle
			g = s.samples.Request[:len(s.samples.Request)/2]
			v.send(g)
			_ = v.Conn.(*conn.PipeConn).CloseWrite()
			host.send(g)
			_ = host.Conn.(*conn.PipeConn).CloseWrite()
		} else {
			v.send(g)
			host.send(g)
		}
		v.ended()
		if err := <-v.over; err == nil {
			s.Errorf("%x is no error", g)
		}
		if e := <-h.got; e.Kind != stream.BadMessage || e.Side != stream.Downstream {
			s.Errorf("%x: the record tells of %v", g, e)
		}
		if err := <-done; err == nil || stream.AsError(err).Retry {
			s.Errorf("%x from a host: %v", g, err)
		}
		if cl.Err() == nil {
			s.Errorf("%x from a host: the connection goes on", g)
		}
	}
}

// ask sends a frame with a client, and tells how it went.
func (s *suite) ask(h stream.Handler, f []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		resp, err := h.Handle(s.Context(), s.request(f))
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Close()
		}
		done <- err
	}()
	return done
}
