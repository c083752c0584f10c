package tars_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame/frametest"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The frames of the contract, and the same with every kind of field.
func TestVectors(t *testing.T) {
	all := vectors(t)
	all["req.full"] = packet(t, "1001 2c 3005 4280000001", str(5, "A.B.C"), str(6, "f"), "7d000c 8c",
		"980001", str(0, "k"), str(1, ""), "a80002", str(0, "s"), str(1, "1"), str(0, "S"), str(1, "2"))
	all["resp.full"] = packet(t, "1001 2c 31ff00 4005 5007", "6d00000178", "780001", str(0, "s"), str(1, "1"),
		str(8, "no"), "980001", str(0, "k"), str(1, "v"))
	all["req.tup"] = packet(t, "1003 2c 3c 4009", str(5, "A.B.C"), str(6, "f"), "7d00000178 8c 980c a80c")
	all["oneway"] = packet(t, "1001 2001 3c 4009", str(5, "A.B.C"), str(6, "f"), "7d00000178 80ff 980c a80c")
	for _, c := range []struct {
		name          string
		kind          frame.Type
		id            uint64
		timeout       time.Duration
		code, status  int
		payload, head string
	}{
		{"tars.req", frame.Request, 7, 3 * time.Second, 0, 0, "xx", "service=App.Srv.Obj method=echo k=v"},
		{"tars.resp.ok", frame.Response, 7, 0, 0, 200, "ok", ""},
		{"tars.resp.noservant", frame.Response, 7, 0, -4, 404, "", "tars-result-desc=noservant"},
		{"tars.oneway.ping", frame.Heartbeat, 300, 0, 0, 0, "", ""},
		{"tars.req.over-255-bytes", frame.Request, 8, 3 * time.Second, 0, 0, strings.Repeat("a", 300), "service=App.Srv.Obj method=echo"},
		{"req.full", frame.Request, 0x80000001, 0, 0, 0, "", "service=A.B.C method=f k= tars-status-s=1 tars-status-S=2"},
		{"resp.full", frame.Response, 0xffffff00, 0, 7, 500, "x", "tars-status-s=1 tars-result-desc=no k=v"},
		{"req.tup", frame.Request, 9, 0, 0, 0, "x", "service=A.B.C method=f"},
		{"oneway", frame.OneWay, 9, frame.Never, 0, 0, "x", "service=A.B.C method=f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := all[c.name]
			delete(all, c.name)
			if n, err := (tars.Codec{}).Size(append(bytes.Clone(f), f...)); err != nil || n != len(f) {
				t.Fatalf("size %d, %v, want %d", n, err, len(f))
			}
			m := parse(t, f)
			if m.Type != c.kind || m.ID != c.id || m.Timeout != c.timeout || m.Code != c.code || m.Status != c.status || string(m.Payload()) != c.payload {
				t.Errorf("got %+v", m)
			}
			if got := text(m.Header); got != c.head {
				t.Errorf("header %q, want %q", got, c.head)
			}
			if got := withID(t, f, m.ID); !bytes.Equal(got, f) {
				t.Errorf("with its own id it is\n%x, want\n%x", got, f)
			}
			if m.Type == frame.Heartbeat {
				return
			}
			built := *m
			built.Body, built.Origin = m.Payload(), m
			if got, err := (tars.Codec{}).Append(nil, &built); err != nil || !bytes.Equal(got, f) {
				t.Errorf("%v, it is rebuilt as\n%x, want\n%x", err, got, f)
			}
		})
	}
	if len(all) > 0 {
		t.Errorf("not tested: %v", all)
	}
}

func TestFrame(t *testing.T) {
	v := vectors(t)
	frametest.Run(t, tars.Codec{}, frametest.Samples{
		Request:  v["tars.req"],
		Response: v["tars.resp.ok"],
		OneWay:   packet(t, "1001 2001 3c 4009", str(5, "A.B.C"), str(6, "f"), "7d00000178 8c 980c a80c"),
		GoAway:   packet(t, "1001 2c 3c 4c 5c 6d000c 780c", str(8, "_reconnect_"), "980c"),
		More: [][]byte{
			v["tars.req.over-255-bytes"], v["tars.resp.noservant"],
			packet(t, "1001 2c 31ff00 4005 5007", "6d00000178", "780001", str(0, "s"), str(1, "1"), str(8, "no"), "980c"),
			packet(t, "1001 2c 3009 4c 5c 6d00000178 780c"), // without what is optional
		},
		Garbage: [][]byte{
			{0, 0, 0, 4}, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, packet(t, "1001"), packet(t, "ffff"),
		},
	})
}

func TestMatch(t *testing.T) {
	for digits, want := range map[string]protocol.Verdict{
		"":             protocol.More,
		"00":           protocol.More,
		"00000031":     protocol.More,
		"0000003110":   protocol.More,
		"000000311001": protocol.Match,
		"000000311003": protocol.Match,
		"000000311005": protocol.Match,
		"000000311002": protocol.No,
		"00000031da":   protocol.No, // dubbo-thrift
		"01":           protocol.No, // bolt
		"dabb":         protocol.No, // dubbo
		"47":           protocol.No,
	} {
		if got := (tars.Codec{}).Match(unhex(t, digits)); got != want {
			t.Errorf("%s is %v, want %v", digits, got, want)
		}
	}
}

// Ids take as many bytes as they need, and negative ones are ids too.
func TestIDs(t *testing.T) {
	for _, f := range vectors(t) {
		first := parse(t, f)
		ids := []uint64{0, 1, 127, 128, 255, 300, 32767, 32768, 65536, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 200, math.MaxUint32}
		for _, id := range ids {
			g := withID(t, f, id)
			n, err := tars.Codec{}.Size(g)
			if m := parse(t, g); err != nil || n != len(g) || m.ID != id || m.Type != first.Type || m.Code != first.Code ||
				text(m.Header) != text(first.Header) || !bytes.Equal(m.Payload(), first.Payload()) {
				t.Errorf("%x with id %d is %x: %+v", f, id, g, m)
			}
			if back := withID(t, g, first.ID); !bytes.Equal(back, f) {
				t.Errorf("%x\nis after id %d\n%x", f, id, back)
			}
		}
	}
	f := vectors(t)["tars.req"]
	tars.Codec{}.SetID(f, 99)
	if m := parse(t, f); m.ID != 99 {
		t.Errorf("SetID: id %d", m.ID)
	}
	defer func() {
		if recover() == nil {
			t.Error("SetID takes an id that does not fit")
		}
	}()
	tars.Codec{}.SetID(f, 300)
}

// What peers may send that they should not.
func TestMalformed(t *testing.T) {
	const head = "1001 2c 3c 4007"
	call := head + str(5, "s") + str(6, "f")
	deep := strings.Repeat("0a", 20) + strings.Repeat("0b", 20)
	for _, c := range []struct {
		name   string
		fields string
		late   bool // only Fields sees it
	}{
		{"nothing", "", false},
		{"no id", "1001 2c 3c" + str(5, "s") + str(6, "f") + "7d000c", false},
		{"no version", "2c 3c 4007" + str(5, "s") + str(6, "f") + "7d000c", false},
		{"no payload", call, false},
		{"payload is a list", call + "790c", false},
		{"payload of another type", call + "7d010c", false},
		{"payload longer than the frame", call + "7d00 027fffffff 00", false},
		{"payload with a negative length", call + "7d00 00ff 00", false},
		{"length without tag 0", call + "7d00 1001 00", false},
		{"id is a string", "1001 2c 3c" + str(4, "7"), false},
		{"id of 64 bits", "1001 2c 3c 430000000000000001" + str(5, "s") + str(6, "f") + "7d000c", false},
		{"string longer than the frame", head + "56ff61", false},
		{"long string longer than the frame", head + "57ffffffff61", false},
		{"cut length of a string", head + "5700", false},
		{"tags out of order", "2c 1001 3c 4007" + str(5, "s") + str(6, "f") + "7d000c", false},
		{"tags twice", "1001 1001 2c 3c 4007" + str(5, "s") + str(6, "f") + "7d000c", false},
		{"end of a struct", "0b" + call + "7d000c", false},
		{"unknown type", "0e" + call + "7d000c", false},
		{"nested too deeply", "0a" + deep + "0b" + call + "7d000c", false},
		{"a list that claims much", "09 027fffffff" + call + "7d000c", false},
		{"context is a list", call + "7d000c 8c 990c", true},
		{"context with a negative count", call + "7d000c 8c 9800ff", true},
		{"context that claims much", call + "7d000c 8c 98 027fffffff" + str(0, "k") + str(1, "v"), true},
		{"context without value", call + "7d000c 8c 980001" + str(0, "k"), true},
		{"context with a value of another tag", call + "7d000c 8c 980001" + str(0, "k") + str(2, "v"), true},
		{"context with a number", call + "7d000c 8c 980001" + str(0, "k") + "1001", true},
		{"maps out of order", call + "7d000c 8c a80c 980c", true},
		{"nested too deeply, at the end", call + "7d000c 8c 980c a80c f00a" + "00" + deep, true},
		{"a head that is cut", call + "7d000c 8c 980c a80c f0", true},
		{"answer with a map of numbers", head + "5c 6d000c 780001 0001 1001", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &frame.Message{Frame: packet(t, c.fields), Header: new(stream.Header)}
			err := tars.Codec{}.Decode(m)
			if (err == nil) != c.late {
				t.Fatalf("Decode: %v", err)
			}
			if err == nil {
				err = tars.Codec{}.Fields(m)
			}
			if err == nil || !strings.HasPrefix(err.Error(), "tars: ") {
				t.Errorf("got %v", err)
			}
		})
	}

	// Unknown fields of any type are passed over.
	unknown := "f00b01 f10c0001 f20d00000001 f30e0000000000000001 f40f00000000 f5100000000000000000" + "f61101" + "61" + "f7120000000161" +
		"f8130001" + "00011001" + "f9140002" + "0c0c" + "fa15" + "00011c0b" + "fc16" + "fd1700000161"
	if m := parse(t, packet(t, call, "7d000c 8c 980c a80c", unknown)); text(m.Header) != "service=s method=f" {
		t.Errorf("header %q", text(m.Header))
	}

	m := &frame.Message{Type: frame.Request, Header: new(stream.Header)}
	m.Header.Add(tars.ServiceField, "s")
	m.Header.Add("k", strings.Repeat("v", 64<<10))
	if b, err := (tars.Codec{}).Append([]byte("x"), m); err == nil || stream.AsError(err).Kind != stream.TooLarge || string(b) != "x" {
		t.Errorf("a header of 64 KiB: %v", err)
	}
	large := packet(t, call, "7d000c 8c 980001", str(0, "k"), "1700010000")
	large = append(large, make([]byte, 64<<10)...)
	large[1], large[2], large[3] = byte(len(large)>>16), byte(len(large)>>8), byte(len(large))
	if m, err := frame.Parse(tars.Codec{}, large); err == nil {
		t.Errorf("a context of 64 KiB is read: %+v", m)
	}
}

// Results of Tars, the HTTP statuses they stand for, and back.
func TestCodes(t *testing.T) {
	for code, want := range map[int]int{
		0: 200, -1: 400, -2: 500, -3: 404, -4: 404, -5: 500, -6: 504, -7: 504, -8: 502, -9: 503, -10: 502, -11: 500, -12: 500, -99: 500, 1: 500, 70000: 500,
	} {
		b, err := tars.Codec{}.Append(nil, &frame.Message{Type: frame.Response, Code: code, Status: want, Header: new(stream.Header)})
		if err != nil {
			t.Fatal(err)
		}
		if m := parse(t, b); m.Code != code || m.Status != want {
			t.Errorf("code %d: %d, %d, want %d", code, m.Code, m.Status, want)
		}
	}
	for status, want := range map[int]int{
		200: 0, 204: 0, 302: 0, 400: -1, 401: -99, 403: -99, 404: -4, 408: -7, 429: -9, 500: -99, 502: -8, 503: -9, 504: -7, 509: -9, 0: -99,
	} {
		b, _ := tars.Codec{}.Append(nil, &frame.Message{Type: frame.Response, Code: -1, Status: status, Header: new(stream.Header)})
		if m := parse(t, b); m.Code != want {
			t.Errorf("status %d: %d, want %d", status, m.Code, want)
		}
	}
	req := parse(t, vectors(t)["tars.req"])
	for kind, want := range map[stream.Kind]int{
		stream.Internal: -99, stream.BadMessage: -1, stream.TooLarge: -99, stream.NoRoute: -4, stream.NoCluster: -8, stream.NoHost: -8,
		stream.Overload: -9, stream.Connect: -8, stream.Reset: -8, stream.Timeout: -7, stream.Stopping: -9, stream.Denied: -99,
	} {
		reply := tars.Codec{}.Reply(req, &stream.Error{Kind: kind, Op: "dial 10.0.0.1:80"})
		reply.ID, reply.Request = req.ID, req
		b, err := tars.Codec{}.Append(nil, &reply)
		if err != nil {
			t.Fatal(err)
		}
		if m := parse(t, b); m.Type != frame.Response || m.ID != 7 || m.Code != want || text(m.Header) != "tars-result-desc="+kind.String() {
			t.Errorf("%v is told as %d, %q, want %d", kind, m.Code, text(m.Header), want)
		}
	}
}

// Frames that are built of messages that came by another protocol, or changed.
func TestBuild(t *testing.T) {
	origin := parse(t, packet(t, "1005 2c 3003 4009", str(5, "A.B.C"), str(6, "f"), "7d00000178 80fe 980001", str(0, "service"), str(1, "x"), "a80c"))
	header := func(pairs ...string) *stream.Header {
		h := new(stream.Header)
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, c := range []struct {
		name string
		m    frame.Message
		want string
	}{
		{
			"from nothing",
			frame.Message{ID: 1, Method: "POST", Header: header("Service", "s", "METHOD", "f", "a", "b", "Tars-Status-X", "y", "rpc-status", "5"), Timeout: 1500 * time.Microsecond},
			"1001 2c 3c 4001" + str(5, "s") + str(6, "f") + "7d000c 8002 980001" + str(0, "a") + str(1, "b") + "a80001" + str(0, "X") + str(1, "y"),
		},
		{
			"no field method",
			frame.Message{Type: frame.OneWay, ID: 300, Method: "f", Header: header("service", "s"), Timeout: frame.Never, Body: []byte("x")},
			"1001 2001 3c 41012c" + str(5, "s") + str(6, "f") + "7d00000178 80ff 980c a80c",
		},
		{
			"changed header",
			frame.Message{ID: 9, Method: "f", Header: header("service", "D", "method", "g", "service", "x"), Origin: origin, Timeout: frame.Never},
			"1005 2c 3003 4009" + str(5, "D") + str(6, "g") + "7d000c 80fe 980001" + str(0, "service") + str(1, "x") + "a80c",
		},
		{
			"changed method and timeout",
			frame.Message{ID: 9, Method: "g", Header: header("service", "A.B.C", "method", "f"), Origin: origin, Timeout: time.Second},
			"1005 2c 3003 4009" + str(5, "A.B.C") + str(6, "g") + "7d000c 8103e8 980c a80c",
		},
		{
			"long text",
			frame.Message{ID: 9, Method: strings.Repeat("m", 256), Header: header("service", "")},
			"1001 2c 3c 4009" + str(5, "") + "6700000100" + strings.Repeat("6d", 256) + "7d000c 8c 980c a80c",
		},
		{
			"answer",
			frame.Message{Type: frame.Response, ID: 9, Code: -1, Status: 503, Header: header("service", "x"), Request: origin},
			"1005 2c 3009 4003 50f7 6d000c 780c 8600 980001" + str(0, "service") + str(1, "x"),
		},
		{
			"heartbeat",
			frame.Message{Type: frame.Heartbeat, ID: 9},
			"1001 2c 3c 4009 5600" + str(6, "tars_ping") + "7d000c 8c 980c a80c",
		},
		{
			"good-bye",
			frame.Message{Type: frame.GoAway},
			"1001 2c 3c 4c 5c 6d000c 780c" + str(8, "_reconnect_") + "980c",
		},
	} {
		want := packet(t, c.want)
		got, err := tars.Codec{}.Append([]byte("before"), &c.m)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s: %v\n%x, want\n%x", c.name, err, got, want)
		}
	}
	if _, err := (tars.Codec{}).Append(nil, &frame.Message{Method: "f", Header: new(stream.Header)}); err == nil {
		t.Error("a request without a servant is sent")
	}
	if _, err := (tars.Codec{}).Append(nil, &frame.Message{Type: 99}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an unknown type: %v", err)
	}
}

func BenchmarkForward(b *testing.B) {
	for _, name := range []string{"tars.req", "tars.resp.ok", "tars.req.over-255-bytes"} {
		f := vectors(b)[name]
		for _, id := range []uint64{9, 70000} {
			b.Run(fmt.Sprintf("%s/id=%d", name, id), func(b *testing.B) {
				var dst []byte
				m := new(frame.Message)
				b.ReportAllocs()
				for b.Loop() {
					*m = frame.Message{Frame: f}
					if err := (tars.Codec{}).Decode(m); err != nil {
						b.Fatal(err)
					}
					dst = append(tars.Codec{}.AppendID(dst[:0], m, id), f[m.Start:]...)
				}
			})
		}
	}
}

func BenchmarkFields(b *testing.B) {
	m := &frame.Message{Frame: vectors(b)["tars.req"], Header: new(stream.Header)}
	b.ReportAllocs()
	for b.Loop() {
		m.Header.Reset()
		if err := (tars.Codec{}).Decode(m); err != nil {
			b.Fatal(err)
		}
		if err := (tars.Codec{}).Fields(m); err != nil {
			b.Fatal(err)
		}
	}
}

// Decoding and forwarding allocate nothing.
func TestAllocations(t *testing.T) {
	for name, f := range vectors(t) {
		dst := make([]byte, 0, 1024)
		m := new(frame.Message)
		if n := testing.AllocsPerRun(100, func() {
			*m = frame.Message{Frame: f}
			_ = tars.Codec{}.Decode(m)
			dst = append(tars.Codec{}.AppendID(dst[:0], m, 70000), f[m.Start:]...)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
