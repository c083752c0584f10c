package frame_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// A caller of one-way requests has no reason to stay: those that it has sent
// are passed on when it has gone. What wants an answer is given up then, as the
// end of a pipe says that nobody reads any more.
func TestOneWayOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done, canceled atomic.Int32
		r := serve(t, rigOptions{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			select { // a connection to a host is made meanwhile
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			switch {
			case ctx.Err() != nil:
				canceled.Add(1)
				return nil, stream.FromContext(ctx, "test")
			case !req.OneWay:
				t.Error("a request is answered for nobody")
			}
			done.Add(1)
			return stream.NoResponse, nil
		})
		const calls = 1500 // more than are served at a time
		var all []byte
		for id := range uint16(calls) {
			all = append(all, ask('!', id+1, "x")...)
		}
		go func() {
			r.send(all, ask('?', calls+1, "x"))
			_ = r.near.Close()
		}()
		if err := <-r.over; err != nil {
			t.Errorf("the connection ended with %v", err)
		}
		if done.Load() != calls || canceled.Load() != 1 {
			t.Errorf("%d one-way requests are passed on, want %d; %d requests are given up, want 1", done.Load(), calls, canceled.Load())
		}
	})
}

// A host that does not come to the end of a frame while a whole call waits gets
// no more calls on that connection. One that is only slow with it does.
func TestHostStopsMidway(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration // a byte comes; 0 is never
		ended bool
	}{
		"stops": {0, true},
		"drips": {time.Second, true},
		"slow":  {100 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := conn.NewPipe("client", "host")
				cl := frame.New(toy{}, frame.Options{}).NewClient(conn.New(near), protocol.ClientOptions{})
				ctx, cancel := context.WithCancel(t.Context())
				defer func() {
					cancel()
					_, _ = cl.Close(), far.Close()
				}()
				go func() {
					answer := ask('=', 1, strings.Repeat("x", 40))
					_, _ = far.Write(answer[:12])
					for _, b := range answer[12:] {
						if c.every == 0 {
							return
						}
						select {
						case <-time.After(c.every):
						case <-ctx.Done():
						}
						_, _ = far.Write([]byte{b})
					}
				}()
				time.Sleep(time.Millisecond)
				req := request(nil, 0)
				req.Deadline = time.Now().Add(5 * time.Second)
				resp, err := cl.Handle(ctx, req)
				if (err != nil) != c.ended || err != nil && stream.AsError(err).Kind != stream.Timeout {
					t.Errorf("error %v", err)
				}
				if err := cl.Err(); (err != nil) != c.ended {
					t.Errorf("afterwards the connection says %v", err)
				}
				if err == nil {
					_ = resp.Close()
				}
			})
		})
	}
}

// A caller that always has a call under way, and knows nothing of going away, does
// not keep a connection that drains. What was taken from it is answered, and it
// gets the answers before the end of the connection.
func TestDrainUnderLoad(t *testing.T) {
	for _, atATime := range []int{1, 3, 20} {
		t.Run(fmt.Sprint(atATime), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var taken atomic.Int32
				r := serve(t, rigOptions{}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					taken.Add(1)
					time.Sleep(time.Duration(100+7*taken.Load()%90) * time.Millisecond)
					if ctx.Err() != nil {
						t.Error("a call is given up")
					}
					return text("x"), nil
				})
				for id := range uint16(atATime) {
					r.send(ask('?', id, "x"))
				}
				time.AfterFunc(time.Second, r.conn.Drain)
				answers, asked := int32(0), int32(atATime)
				for {
					got := make([]byte, 11)
					if _, err := io.ReadFull(r.near, got); err != nil {
						if !errors.Is(err, io.EOF) {
							t.Errorf("the connection ended with %v", err)
						}
						break
					}
					answers++
					if _, err := r.near.Write(ask('?', uint16(asked), "x")); err == nil {
						asked++
					}
				}
				ended := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
				_ = r.near.Close()
				if err := <-r.over; err != nil || r.conn.Cause() != conn.Drained {
					t.Errorf("%v, %v", err, r.conn.Cause())
				}
				if answers != taken.Load() || ended > 11*time.Second {
					t.Errorf("after %v: %d calls were taken, %d answered", ended, taken.Load(), answers)
				}
				t.Logf("after %v: %d sent, %d taken, %d answered", ended, asked, taken.Load(), answers)
			})
		})
	}
}

// What ends the calls of a caller that has only ended its direction, before they
// are answered: that it hangs up, takes nothing more, or that the core ends.
func TestHalfClosedCallerGoes(t *testing.T) {
	for name, c := range map[string]struct {
		leave   func(r *rig)
		within  time.Duration // of the end of its direction
		answers bool          // large ones come
	}{
		"hangs up":      {func(r *rig) { _ = r.near.Close() }, 0, false},
		"reads no more": {func(*rig) {}, 21 * time.Second, true},
		"stays":         {func(*rig) {}, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := serve(t, rigOptions{writeTimeout: 10 * time.Second}, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
					wait := time.Hour
					if c.answers && req.Info.BytesIn == 1 {
						wait = 10 * time.Second
					}
					select {
					case <-time.After(wait):
						return text(strings.Repeat("x", 1<<20)), nil
					case <-ctx.Done():
						return nil, stream.FromContext(ctx, "test")
					}
				})
				r.send(ask('?', 1, "x"), ask('?', 2, "xx"))
				_ = r.near.CloseWrite()
				synctest.Wait()
				start := time.Now()
				c.leave(r)
				go func() {
					if name == "stays" {
						_, _ = io.Copy(io.Discard, r.near)
					}
				}()
				err := <-r.over
				if took := time.Since(start); err != nil || took > c.within || c.within == time.Hour && took != time.Hour {
					t.Errorf("the connection ended with %v after %v", err, took)
				}
			})
		})
	}
}
