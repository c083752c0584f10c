package frametest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// forwarded: what passes through is what was sent, but for the id.
func (s *suite) forwarded() {
	got := make(chan []byte, 10)
	pool := s.pooled(func(c net.Conn) {
		host := &peer{Conn: c, s: s}
		for {
			m, err := host.next()
			if err != nil {
				return
			}
			got <- m.Frame
			if m.Type == frame.Request {
				host.send(s.withID(s.samples.Response, m.ID))
			}
		}
	})
	v := s.serve(pool, nil)
	for _, f := range [][]byte{s.samples.Request, s.samples.OneWay} {
		if f == nil {
			continue
		}
		f = s.withID(f, min(4242, s.codec.MaxID()))
		for range 3 {
			v.send(f)
			m := s.decode(<-got)
			if want := s.withID(f, m.ID); !bytes.Equal(m.Frame, want) {
				s.Errorf("sent\n%x, the host gets\n%x", want, m.Frame)
			}
			if m.Type == frame.OneWay {
				continue
			}
			if m, want := v.receive(frame.Response), s.withID(s.samples.Response, s.decode(f).ID); !bytes.Equal(m.Frame, want) {
				s.Errorf("answered\n%x, the caller gets\n%x", want, m.Frame)
			}
		}
	}
}

// silent: a host that says nothing at all is given up in time.
func (s *suite) silent() {
	cl, host := s.dial(s.codec, frame.Options{HeartbeatInterval: 10 * time.Second, HeartbeatTimeout: time.Second, HeartbeatFailures: 3})
	start := time.Now()
	done := s.ask(cl, s.samples.Request)
	host.receive(frame.Request)
	if _, err := s.codec.Append(nil, &frame.Message{Type: frame.Heartbeat, ID: 1, Header: new(stream.Header)}); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			s.Error(err)
		}
		s.Skip("the protocol has no heartbeats")
	}
	for range 3 {
		host.receive(frame.Heartbeat)
	}
	err := <-done
	if err == nil || stream.AsError(err).Kind != stream.Reset || !strings.Contains(err.Error(), "3 heartbeats") {
		s.Errorf("the request ended with %v", err)
	}
	if took := time.Since(start); took != 31*time.Second {
		s.Errorf("it took %v", took)
	}
	host.ended()
}

// narrow is a codec with few ids.
type narrow struct{ frame.Codec }

func (narrow) MaxID() uint64 { return 8 }

// narrowElastic is the same, where ids have no fixed width.
type narrowElastic struct{ frame.Elastic }

func (narrowElastic) MaxID() uint64 { return 8 }

// fewIDs returns codec with few ids.
func fewIDs(codec frame.Codec) frame.Codec {
	if e, ok := codec.(frame.Elastic); ok {
		return narrowElastic{e}
	}
	return narrow{codec}
}

// ids: they wrap around, and none is used twice at a time.
func (s *suite) ids() {
	cl, host := s.dial(fewIDs(s.codec), frame.Options{HeartbeatInterval: -1})
	if n := cl.(protocol.Limiter).Limit(); n != 8 {
		s.Errorf("%d requests at a time, with 8 ids", n)
	}
	kept := s.ask(cl, s.samples.Request)
	first := host.receive(frame.Request).ID
	for range 20 {
		done := s.ask(cl, s.samples.Request)
		id := host.receive(frame.Request).ID
		if id == first || id < 1 || id > 8 {
			s.Fatalf("id %d, while %d is in use", id, first)
		}
		host.send(s.withID(s.samples.Response, id))
		if err := <-done; err != nil {
			s.Fatal(err)
		}
	}
	host.send(s.withID(s.samples.Response, 7), s.withID(s.samples.Response, first)) // nobody waits for 7
	if err := <-kept; err != nil {
		s.Error(err)
	}
	var all []<-chan error
	for range 8 {
		all = append(all, s.ask(cl, s.samples.Request))
	}
	synctest.Wait()
	if _, err := cl.Handle(s.Context(), s.request(s.samples.Request)); err == nil || stream.AsError(err).Kind != stream.Overload || !stream.AsError(err).Retry {
		s.Errorf("one more than there are ids: %v", err)
	}
	for range 8 {
		host.send(s.withID(s.samples.Response, host.receive(frame.Request).ID))
	}
	for _, done := range all {
		if err := <-done; err != nil {
			s.Error(err)
		}
	}
}

// givenUp: who gives a request up does not harm the others, and late answers
// are for nobody.
func (s *suite) givenUp() {
	cl, host := s.dial(fewIDs(s.codec), frame.Options{HeartbeatInterval: -1})
	ctx, cancel := context.WithCancel(s.Context())
	canceled := make(chan error, 1)
	go func() {
		_, err := cl.Handle(ctx, s.request(s.samples.Request))
		canceled <- err
	}()
	late := host.receive(frame.Request).ID
	expired := make(chan error, 1)
	go func() {
		req := s.request(s.samples.Request)
		req.Deadline = time.Now().Add(2 * time.Second)
		_, err := cl.Handle(s.Context(), req)
		expired <- err
	}()
	later := host.receive(frame.Request).ID
	kept := s.ask(cl, s.samples.Request)
	id := host.receive(frame.Request).ID
	cancel()
	if err := <-canceled; err == nil || stream.AsError(err).Kind != stream.Canceled {
		s.Errorf("canceled: %v", err)
	}
	start := time.Now()
	if err := <-expired; err == nil || stream.AsError(err).Kind != stream.Timeout || stream.AsError(err).Retry || time.Since(start) != 2*time.Second {
		s.Errorf("expired after %v: %v", time.Since(start), err)
	}
	for range 8 { // the ids of both are not used while their answers may come
		done := s.ask(cl, s.samples.Request)
		next := host.receive(frame.Request).ID
		if next == late || next == later {
			s.Errorf("id %d is used again", next)
		}
		host.send(s.withID(s.samples.Response, next))
		if err := <-done; err != nil {
			s.Error(err)
		}
	}
	host.send(s.withID(s.samples.Response, late), s.withID(s.samples.Response, later), s.withID(s.samples.Response, id))
	if err := <-kept; err != nil {
		s.Error(err)
	}
	// Nothing is sent for who has no time left.
	req := s.request(s.samples.Request)
	req.Deadline = time.Now()
	if _, err := cl.Handle(s.Context(), req); err == nil || stream.AsError(err).Kind != stream.Timeout || !stream.AsError(err).Retry {
		s.Errorf("no time left: %v", err)
	}
	host.nothing()
}

// mixed: slow and fast requests of one connection, 100 at a time.
func (s *suite) mixed() {
	srv, err := frame.New(s.codec, frame.Options{}).NewServer(protocol.ServerOptions{})
	if err != nil {
		s.Fatal(err)
	}
	var wg sync.WaitGroup
	pool := s.pooled(func(nc net.Conn) {
		c := conn.New(nc)
		_ = srv.ServeConn(s.Context(), c, stream.HandlerFunc(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			b, err := io.ReadAll(req.Body)
			if bytes.HasPrefix(b, []byte("slow")) {
				time.Sleep(time.Minute)
			}
			return answer(b), err
		}))
		_ = c.Close()
	})
	start := time.Now()
	for i := range 100 {
		wg.Go(func() {
			for round := range 10 {
				word, limit := "fast", time.Duration(0)
				if i%2 == 0 {
					word, limit = "slow", time.Minute*time.Duration(round+1)
				}
				text := fmt.Sprintf("%s %d %d", word, i, round)
				req := s.request(s.samples.Request)
				req.Body, req.ContentLength = body([]byte(text)), int64(len(text))
				resp, err := pool.Handle(s.Context(), req)
				if err != nil {
					s.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				if string(got) != text || err != nil || time.Since(start) != limit {
					s.Errorf("after %v: %q, %v; want %q after %v", time.Since(start), got, err, text, limit)
				}
				_ = resp.Close()
			}
		})
	}
	wg.Wait()
	if open, _ := pool.Stats(); open != 1 {
		s.Errorf("%d connections for 100 requests at a time", open)
	}
	pool.Close()
	synctest.Wait()
}

// cut: the connection to a host breaks while requests are on it. They fail, at
// once; others go on.
func (s *suite) cut() {
	hosts := make(chan *peer, 10)
	pool := s.pooled(func(c net.Conn) { hosts <- &peer{Conn: c, s: s} })
	v := s.serve(pool, nil)
	n := int(min(100, s.codec.MaxID()))
	for id := range n {
		v.send(s.withID(s.samples.Request, uint64(id+1)))
	}
	host := <-hosts
	for range n {
		host.receive(frame.Request)
	}
	start := time.Now()
	_ = host.Close()
	for range n {
		if m := v.receive(frame.Response); m.Status < 500 {
			s.Errorf("the answer to a request that was lost is %+v", m)
		}
	}
	if took := time.Since(start); took != 0 {
		s.Errorf("they fail after %v", took)
	}
	v.send(s.withID(s.samples.Request, 1))
	host = <-hosts
	host.send(s.withID(s.samples.Response, host.receive(frame.Request).ID))
	if m := v.receive(frame.Response); m.ID != 1 || m.Status != 200 {
		s.Errorf("the next answer is %+v", m)
	}

	// What was sent is not to be sent again; what was not, may be.
	cl, far := s.dial(s.codec, frame.Options{})
	sent := s.ask(cl, s.samples.Request)
	far.receive(frame.Request)
	_ = far.Close()
	if err := <-sent; err == nil || stream.AsError(err).Kind != stream.Reset || stream.AsError(err).Side != stream.Upstream || stream.AsError(err).Retry {
		s.Errorf("a request that was lost: %v", err)
	}
	if _, err := cl.Handle(s.Context(), s.request(s.samples.Request)); err == nil || !stream.AsError(err).Retry {
		s.Errorf("a request that was not sent: %v", err)
	}
	cl, far = s.dial(s.codec, frame.Options{HeartbeatInterval: -1})
	var all []<-chan error
	for range 3 {
		all = append(all, s.ask(cl, s.large(200<<10))) // more than a pipe holds
		synctest.Wait()
	}
	_ = far.Close()
	for i, done := range all {
		err := <-done
		if err == nil || stream.AsError(err).Kind != stream.Reset {
			s.Fatalf("request %d: %v", i, err)
		}
		if again := stream.AsError(err).Retry; i == 0 && again || i == 2 && !again {
			s.Errorf("request %d can be sent again: %v", i, again)
		}
	}
}
