package tars_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Frames pass through a proxy as they are but for the id, whose width differs
// on both sides.
func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vectors(t)
		cl, far := host(t, frame.Options{HeartbeatInterval: -1})
		near, _ := caller(t, cl.Handle, nil)
		for i, id := range []uint64{0, 7, 300, 70000, math.MaxInt32, math.MaxUint32, 40000} {
			for _, answer := range []string{"tars.resp.ok", "tars.resp.noservant"} {
				for _, f := range [][]byte{v["tars.req"], v["tars.req.over-255-bytes"]} {
					f = withID(t, f, id)
					near.send(f)
					got := far.read()
					m := parse(t, got)
					if want := withID(t, f, m.ID); !bytes.Equal(got, want) || m.ID > 100 {
						t.Fatalf("%d: sent\n%x, the host gets\n%x", i, want, got)
					}
					far.send(withID(t, v[answer], m.ID))
					if got, want := near.read(), withID(t, v[answer], id); !bytes.Equal(got, want) {
						t.Fatalf("%d: answered\n%x, the caller gets\n%x", i, want, got)
					}
				}
			}
		}
	})
}

// A header that is changed on the way is sent, and nothing else changes.
func TestForwardChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vectors(t)
		cl, far := host(t, frame.Options{HeartbeatInterval: -1})
		near, _ := caller(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if req.Method != "echo" || req.Header.Get("service") != "App.Srv.Obj" || req.Header.Get("k") != "v" {
				t.Errorf("the request is %q, %q", req.Method, text(&req.Header))
			}
			req.Header.Set("k", "w")
			resp, err := cl.Handle(ctx, req)
			if err == nil {
				resp.Header.Set("new", "1")
			}
			return resp, err
		}, nil)
		near.send(v["tars.req"])
		got := far.read()
		m := parse(t, got)
		want := bytes.Replace(withID(t, v["tars.req"], m.ID), []byte("\x16\x01v"), []byte("\x16\x01w"), 1)
		if !bytes.Equal(got, want) {
			t.Errorf("the host gets\n%x, want\n%x", got, want)
		}
		far.send(withID(t, v["tars.resp.noservant"], m.ID))
		if m := parse(t, near.read()); m.ID != 7 || m.Code != -4 || text(m.Header) != "tars-result-desc=noservant new=1" {
			t.Errorf("the caller gets %+v, %q", m, text(m.Header))
		}
	})
}

// Pings are answered, and never reach the handler; nobody waits for the answer
// to a one-way one.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ping := func(version, kind string) []byte {
			return packet(t, "10", version, kind, "3c 41012c", str(5, "A.B.C"), str(6, "tars_ping"), "7d000c 8c 980c a80c")
		}
		near, _ := caller(t, func(context.Context, *stream.Request) (*stream.Response, error) {
			t.Error("a ping is a request")
			return nil, errors.New("no")
		}, nil)
		near.send(ping("01", "2c"))
		if got, want := near.read(), packet(t, "1001 2c 31012c 4c 5c 6d000c 780c 8600 980c"); !bytes.Equal(got, want) {
			t.Errorf("the answer is\n%x, want\n%x", got, want)
		}
		near.send(ping("03", "2c"))
		want := packet(t, "1003 2c 3c 41012c", str(5, "A.B.C"), str(6, "tars_ping"), "7d000002080c 8c 980c a80c")
		if got := near.read(); !bytes.Equal(got, want) {
			t.Errorf("the answer of TUP is\n%x, want\n%x", got, want)
		}
		near.send(ping("01", "2001"))
		near.send(vectors(t)["tars.oneway.ping"])
		if got := near.read(); got != nil {
			t.Errorf("a one-way ping is answered: %x", got)
		}

		// Hosts are asked, and any answer will do.
		cl, far := host(t, frame.Options{HeartbeatInterval: 10 * time.Second, HeartbeatFailures: 2})
		for range 20 {
			f := far.read()
			m := parse(t, f)
			if m.Type != frame.Heartbeat {
				t.Fatalf("the host gets %x", f)
			}
			far.send(withID(t, vectors(t)["tars.resp.noservant"], m.ID))
		}
		synctest.Wait()
		if err := cl.Err(); err != nil {
			t.Error(err)
		}
	})
}

// Calls of TUP are answered in requests' form, by hosts and by us.
func TestTUP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call := func(id string) []byte {
			return packet(t, "1003 2c 3c", id, str(5, "A.B.C"), str(6, "f"), "7d00000178 8c 980c a80c")
		}
		answer := func(id string, status ...string) []byte {
			return packet(t, "1003 2c 3c", id, str(5, "A.B.C"), str(6, "f"), "7d00000179 8c 980001", str(0, "k"), str(1, "v"), strings.Join(status, ""))
		}
		failed := []string{"a80003", str(0, "STATUS_RESULT_CODE"), str(1, "-3"), str(0, "s"), str(1, "1"), str(0, "STATUS_RESULT_DESC"), str(1, "no")}
		cl, far := host(t, frame.Options{HeartbeatInterval: -1})
		touch := false
		var status int
		var head string
		near, _ := caller(t, func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
			if cl.Err() != nil {
				return nil, &stream.Error{Kind: stream.Connect}
			}
			resp, err := cl.Handle(ctx, req)
			if err == nil {
				status, head = resp.Status, text(&resp.Header)
				if touch {
					resp.Header.Set("k", "w")
				}
			}
			return resp, err
		}, nil)
		for _, c := range []struct {
			result []string
			status int
			head   string
		}{
			{[]string{"a80c"}, 200, "k=v"},
			{nil, 200, "k=v"},
			{failed, 404, "k=v tars-status-s=1 tars-result-desc=no"},
			{[]string{"a80001", str(0, "STATUS_RESULT_CODE"), str(1, "many")}, 500, "k=v"},
			{[]string{"a80001", str(0, "STATUS_RESULT_CODE"), str(1, "-21474836480")}, 500, "k=v"},
		} {
			near.send(call("41012c"))
			m := parse(t, far.read())
			far.send(withID(t, answer("4009", c.result...), m.ID))
			if got, want := near.read(), answer("41012c", c.result...); !bytes.Equal(got, want) {
				t.Errorf("the caller gets\n%x, want\n%x", got, want)
			}
			if status != c.status || head != c.head {
				t.Errorf("the answer has %d, %q, want %d, %q", status, head, c.status, c.head)
			}
		}

		touch = true
		near.send(call("4001"))
		m := parse(t, far.read())
		far.send(withID(t, answer("4009", failed...), m.ID))
		want := packet(t, "1003 2c 3c 4001", str(5, "A.B.C"), str(6, "f"), "7d00000179 8c 980001", str(0, "k"), str(1, "w"),
			"a80003", str(0, "s"), str(1, "1"), str(0, "STATUS_RESULT_CODE"), str(1, "-3"), str(0, "STATUS_RESULT_DESC"), str(1, "no"))
		if got := near.read(); !bytes.Equal(got, want) {
			t.Errorf("the caller gets\n%x, want\n%x", got, want)
		}

		_ = cl.Close()
		near.send(call("4002"))
		want = packet(t, "1003 2c 3c 4002", str(5, "A.B.C"), str(6, "f"), "7d000002080c 8c 980c",
			"a80002", str(0, "STATUS_RESULT_CODE"), str(1, "-8"), str(0, "STATUS_RESULT_DESC"), str(1, "connect"))
		if got := near.read(); !bytes.Equal(got, want) {
			t.Errorf("the caller gets\n%x, want\n%x", got, want)
		}
	})
}

// Malformed maps fail one call, in the caller's words, and the next one works.
func TestMalformedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := caller(t, echo, nil)
		near.send(packet(t, "1001 2c 3c 4005", str(5, "A.B.C"), str(6, "f"), "7d00000178 8c 99 0c"))
		if m := parse(t, near.read()); m.ID != 5 || m.Code != -1 || m.Header.Get(tars.ResultField) != "bad message" {
			t.Errorf("got %+v, %q", m, text(m.Header))
		}
		near.send(vectors(t)["tars.req"])
		if got := near.read(); !bytes.Equal(got, packet(t, "1001 2c 3007 4c 5c 6d0000027878 780c 8600 980c")) {
			t.Errorf("got %x", got)
		}
	})
}

// A server that is to end says so, as Tars servers do.
func TestGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, c := caller(t, echo, map[string]any{"enable_goaway": true})
		near.send(vectors(t)["tars.req"])
		near.read()
		c.Drain()
		if got, want := near.read(), packet(t, "1001 2c 3c 4c 5c 6d000c 780c", str(8, "_reconnect_"), "980c"); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}
