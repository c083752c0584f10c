package frame_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// hosted is a client whose host the test plays.
func hosted(t *testing.T, opts frame.Options, timeout time.Duration) (protocol.Client, *conn.PipeConn) {
	t.Helper()
	near, far := conn.NewPipe("client", "host")
	c := conn.New(near)
	c.Timeout = timeout
	cl := frame.New(toy{}, opts).NewClient(c, protocol.ClientOptions{})
	t.Cleanup(func() { _, _ = cl.Close(), far.Close() })
	return cl, far
}

// try makes a call and returns the answer's text.
func try(t *testing.T, h stream.Handler, body string, limit time.Duration) (string, error) {
	t.Helper()
	req := request(io.NopCloser(strings.NewReader(body)), int64(len(body)))
	if limit > 0 {
		req.Deadline = time.Now().Add(limit)
	}
	resp, err := h.Handle(t.Context(), req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// take reads a call as a host does, and returns its id.
func take(t *testing.T, host net.Conn, body string) uint16 {
	t.Helper()
	f := make([]byte, len(ask('?', 0, body)))
	if _, err := io.ReadFull(host, f); err != nil {
		t.Fatal(err)
	}
	return uint16(f[3])<<8 | uint16(f[4])
}

// Answers that nobody waits for are dropped: to calls that there never were, to
// those that have their answer, and to one-way calls.
func TestAnswersThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, host := hosted(t, frame.Options{HeartbeatInterval: -1}, 0)
		for i := range 50 {
			done := make(chan error, 1)
			go func() {
				text, err := try(t, cl, "x", 0)
				if err == nil && text != "right" {
					t.Errorf("the answer is %q", text)
				}
				done <- err
			}()
			id := take(t, host, "x")
			var all []byte
			for other := range uint16(100) {
				all = append(all, ask('=', id+1+other*600, "wrong")...)
			}
			all = append(all, ask('=', id, "right")...)
			all = append(all, ask('=', id, "twice")...)
			if _, err := host.Write(all); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if err := cl.Err(); err != nil {
			t.Error(err)
		}
	})
}

// An answer above the limit ends the connection by its head, and all calls on it
// at once; they have been done, so they are not to be repeated.
func TestAnswerTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, host := hosted(t, frame.Options{MaxFrame: 2000}, 0)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := try(t, cl, "x", time.Hour)
				if e := stream.AsError(err); err == nil || e.Kind != stream.TooLarge || e.Side != stream.Upstream || e.Retry || !strings.Contains(err.Error(), "max_frame_size (2000)") {
					t.Errorf("the call ended with %v", err)
				}
			})
		}
		synctest.Wait()
		id := take(t, host, "x")
		if _, err := host.Write(ask('=', id, strings.Repeat("x", 2000))[:20]); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wg.Wait()
		if took := time.Since(start); took > 0 || cl.Err() == nil {
			t.Errorf("it took %v; the connection says %v", took, cl.Err())
		}
	})
}

// A host that takes nothing does not fill our memory, and calls to it end when
// their time is over, or that of the write; those that were not sent may be repeated.
func TestHostThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, _ := hosted(t, frame.Options{HeartbeatInterval: -1}, 30*time.Second)
		body := strings.Repeat("x", 20<<10)
		var late, safe, cut atomic.Int32
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				limit := 10 * time.Second
				if i%2 == 0 {
					limit = time.Hour
				}
				start := time.Now()
				_, err := try(t, cl, body, limit)
				took, e := time.Since(start), stream.AsError(err)
				switch {
				case err != nil && e.Kind == stream.Timeout && i%2 == 1 && took == 10*time.Second:
					late.Add(1)
				case err != nil && i%2 == 0 && took <= 30*time.Second:
					cut.Add(1)
				default:
					t.Errorf("call %d ended after %v with %v", i, took, err)
				}
				if err != nil && e.Retry {
					safe.Add(1)
				}
			})
		}
		wg.Wait()
		if late.Load() != 50 || cut.Load() != 50 || safe.Load() < 60 {
			t.Errorf("%d calls were late, %d cut off; %d were not sent for sure", late.Load(), cut.Load(), safe.Load())
		}
		if cl.Err() == nil {
			t.Error("the connection goes on")
		}
	})
}

// A host may want no requests before it got any.
func TestGoAwayAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		until int32 // so many connections begin with it
		dials int32 // at most
		ok    bool  // the call must succeed
	}{
		"first":  {1, 2, true},
		"always": {1 << 20, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, err := frame.New(toy{}, frame.Options{}).NewServer(protocol.ServerOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var dials atomic.Int32
				var wg sync.WaitGroup
				p := upstream.New(upstream.PoolOptions{
					Name: "host", Protocol: frame.New(toy{}, frame.Options{}), ConnectTimeout: time.Second,
					Dial: func(context.Context) (net.Conn, error) {
						near, far := conn.NewPipe("proxy", "host")
						if dials.Add(1) <= c.until {
							_, _ = far.Write(toySamples().GoAway)
						}
						wg.Go(func() { //nolint:contextcheck // a host outlives the dial
							_ = srv.ServeConn(t.Context(), conn.New(far), stream.HandlerFunc(echo))
							_ = far.Close()
						})
						return near, nil
					},
				})
				// Between the dial and the call, the go-away is read or not: both must do.
				text, err := try(t, p, "x", 10*time.Second)
				if err != nil && stream.AsError(err).Retry { // as retries above do
					text, err = try(t, p, "x", 10*time.Second)
				}
				if err != nil && c.ok || err == nil && text != "x" {
					t.Errorf("%q, %v", text, err)
				}
				if n := dials.Load(); n > c.dials {
					t.Errorf("%d connections", n)
				}
				p.Close()
				wg.Wait()
			})
		})
	}
}

// Ids that a caller uses twice at a time are the caller's business: it gets as many
// answers by that id as it has sent calls.
func TestCallersIDsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		p := pool(t, frame.Options{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			time.Sleep(time.Second)
			return echo(ctx, req)
		}, &dials)
		r := serve(t, rigOptions{}, p.Handle)
		r.send(ask('?', 7, "a"), ask('?', 7, "b"), ask('?', 7, "c"))
		var got []byte
		f := make([]byte, toyHead+1)
		for range 3 {
			if _, err := io.ReadFull(r.near, f); err != nil || f[3] != 0 || f[4] != 7 {
				t.Fatalf("%q, %v", f, err)
			}
			got = append(got, f[toyHead])
		}
		if slices.Sort(got); string(got) != "abc" {
			t.Errorf("the answers are %q", got)
		}
	})
}

// A caller that does not read its answers does not hold up others whose calls go over
// the same connection to a host, when as many answers wait as may be held; what comes
// for it beyond that is dropped, when others would have to wait longer than a moment.
func TestCallerThatDoesNotReadAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Minute
		var dials atomic.Int32
		answer := strings.Repeat("x", 20<<10)
		p := pool(t, frame.Options{MaxHeld: 200 << 10}, func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Info.BytesIn > 1 {
				return text(answer), nil
			}
			return text("y"), nil
		}, &dials)
		hostile := serve(t, rigOptions{writeTimeout: patience}, p.Handle)
		for id := range uint16(200) {
			hostile.send(ask('?', id+1, "many"))
		}
		synctest.Wait()
		other := serve(t, rigOptions{writeTimeout: patience}, p.Handle)
		start := time.Now()
		for id := range uint16(20) {
			other.send(ask('?', id+1, "x"))
			other.expect(ask('=', id+1, "y"))
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the other caller has waited %v", took)
		}
		// One that begins to read gets what was held, and is told of the rest.
		whole, dropped := 0, 0
		for range 200 {
			f := make([]byte, toyHead)
			if _, err := io.ReadFull(hostile.near, f); err != nil {
				t.Fatal(err)
			}
			body := make([]byte, binary.BigEndian.Uint32(f[6:]))
			if _, err := io.ReadFull(hostile.near, body); err != nil {
				t.Fatal(err)
			}
			switch {
			case f[2] == 0 && string(body) == answer:
				whole++
			case f[2] == 3 && string(body) == "overload":
				dropped++
			default:
				t.Fatalf("status %d, %.40q", f[2], body)
			}
		}
		if whole < 20 || dropped < 50 {
			t.Errorf("%d answers came, and %d were dropped", whole, dropped)
		}
		if dials.Load() != 1 {
			t.Errorf("there were %d connections", dials.Load())
		}
	})
}

// party is a caller as a client sees it.
type party struct{ blocked atomic.Bool }

func (*party) Number() uint64        { return 1 }
func (*party) Life() context.Context { return context.Background() } //nolint:forbidigo // it never ends
func (*party) HangUp()               {}
func (p *party) Blocked() bool       { return p.blocked.Load() }

// A large answer for a caller that does not read makes others wait no longer than
// small ones do, and neither if the caller is found out only later.
func TestLargeAnswerThatIsNotTaken(t *testing.T) {
	for name, found := range map[string]time.Duration{"before": 0, "while others wait": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, host := hosted(t, frame.Options{MaxHeld: 200 << 10, HeartbeatInterval: -1}, 0)
				calls := func(caller stream.Caller) (uint16, <-chan *stream.Response, <-chan error) {
					answered, failed := make(chan *stream.Response, 1), make(chan error, 1)
					go func() {
						req := request(io.NopCloser(strings.NewReader("x")), 1)
						req.Caller, req.Deadline = caller, time.Now().Add(time.Minute)
						resp, err := cl.Handle(t.Context(), req)
						if err != nil {
							failed <- err
							return
						}
						answered <- resp
					}()
					return take(t, host, "x"), answered, failed
				}
				hostile := new(party)
				first, held, _ := calls(hostile)
				second, _, dropped := calls(hostile)
				third, other, _ := calls(new(party))
				time.AfterFunc(found, func() { hostile.blocked.Store(true) })
				go func() {
					_, _ = host.Write(ask('=', first, strings.Repeat("x", 80<<10)))
					_, _ = host.Write(ask('=', second, strings.Repeat("x", 350<<10)))
					_, _ = host.Write(ask('=', third, "y"))
				}()
				start := time.Now()
				kept := <-held
				resp := <-other
				if took := time.Since(start); took > found+3*time.Second {
					t.Errorf("the other caller has waited %v", took)
				}
				if err := <-dropped; stream.AsError(err).Kind != stream.Overload {
					t.Errorf("the answer that is not taken ended with %v", err)
				}
				_, _ = kept.Close(), resp.Close()
			})
		})
	}
}

// A caller that takes its answers as fast as it can gets all of them, although they
// wait for it now and then, and another one takes none.
func TestCallerThatReadsAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		answer := strings.Repeat("x", 20<<10)
		p := pool(t, frame.Options{MaxHeld: 200 << 10}, func(_ context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Info.BytesIn == 1 { // somebody waits all the time
				time.Sleep(time.Minute)
				return text("y"), nil
			}
			return text(answer), nil
		}, &dials)
		third := serve(t, rigOptions{}, p.Handle)
		third.send(ask('?', 1, "x"))
		hostile := serve(t, rigOptions{writeTimeout: time.Hour}, p.Handle)
		const calls = 200
		var all []byte
		for id := range uint16(calls) {
			all = append(all, ask('?', id+1, "many")...)
		}
		hostile.send(all)
		synctest.Wait()
		steady := serve(t, rigOptions{writeTimeout: time.Hour}, p.Handle)
		steady.send(all)
		lost := 0
		for range calls {
			f := make([]byte, toyHead)
			if _, err := io.ReadFull(steady.near, f); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, steady.near, int64(binary.BigEndian.Uint32(f[6:]))); err != nil {
				t.Fatal(err)
			}
			if f[2] != 0 {
				lost++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if lost > 0 {
			t.Errorf("%d of %d answers were dropped", lost, calls)
		}
		third.expect(ask('=', 1, "y"))
		if dials.Load() != 1 {
			t.Errorf("there were %d connections", dials.Load())
		}
	})
}
