package dubbothrift_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbothrift"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame/frametest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var codec dubbothrift.Codec

// vectors returns the frames of the contract by name, without "dubbothrift.".
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(data)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(name, "dubbothrift.")
		if all[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d vectors, the contract has 3", len(all))
	}
	return all
}

// oneWay is the request of the vectors as a call that wants no answer.
func oneWay(all map[string][]byte) []byte {
	f := bytes.Clone(all["req"])
	f[47] = 4
	return f
}

func read(t testing.TB, f []byte) *frame.Message {
	t.Helper()
	if n, err := codec.Size(f); err != nil || n != len(f) {
		t.Fatalf("%x: size %d, %v", f, n, err)
	}
	m, err := frame.Parse(codec, f)
	if err != nil {
		t.Fatalf("%x: %v", f, err)
	}
	return m
}

func fields(h *stream.Header) string {
	var list []string
	for name, value := range h.All() {
		list = append(list, name+"="+value)
	}
	return strings.Join(list, " ")
}

func TestVectors(t *testing.T) {
	const who = "service=org.demo.Echo$Iface method=echo"
	all := vectors(t)
	for _, c := range []struct {
		name    string
		f       []byte
		kind    frame.Type
		code    int
		status  int
		method  string
		fields  string
		payload string
	}{
		{"req", all["req"], frame.Request, 0, 0, "echo", who, "\x0b\x00\x01\x00\x00\x00\x02hi\x00"},
		{"one-way", oneWay(all), frame.OneWay, 0, 0, "echo", who, "\x0b\x00\x01\x00\x00\x00\x02hi\x00"},
		{"resp", all["resp"], frame.Response, 2, 200, "", "rpc-status=2", "\x0b\x00\x00\x00\x00\x00\x02hi\x00"},
		{"exception", all["exception"], frame.Response, 3, 404, "", "rpc-status=3", "\x0b\x00\x01\x00\x00\x00\x16404|router unavailable\x08\x00\x02\x00\x00\x00\x01\x00"},
	} {
		m := read(t, c.f)
		if m.ID != 9 || m.Type != c.kind || m.Code != c.code || m.Status != c.status || m.Method != c.method || fields(m.Header) != c.fields || string(m.Payload()) != c.payload {
			t.Errorf("%s: %+v\nfields %s, payload %q", c.name, m, fields(m.Header), m.Payload())
		}
		built := frame.Message{Type: m.Type, ID: m.ID, Method: m.Method, Header: m.Header, Code: m.Code, Status: m.Status, Body: m.Payload(), Origin: m}
		if got, err := codec.Append([]byte("x"), &built); err != nil || string(got) != "x"+string(c.f) {
			t.Errorf("%s: built again: %v\n%x, want\n%x", c.name, err, got, c.f)
		}
		other := bytes.Clone(c.f)
		codec.SetID(other, 1<<63|77)
		if m := read(t, other); m.ID != 1<<63|77 || !bytes.Equal(other[:36], c.f[:36]) || !bytes.Equal(other[44:], c.f[44:]) {
			t.Errorf("%s with another id: %x", c.name, other)
		}
		// Where MOSN takes a part of a frame for all of it.
		for cut := 1; cut <= 4; cut++ {
			if n, err := codec.Size(c.f[: len(c.f)-cut : len(c.f)-cut]); err != nil || n != len(c.f) {
				t.Errorf("%s without %d bytes: size %d, %v; want %d", c.name, cut, n, err, len(c.f))
			}
		}
	}
}

func TestBuild(t *testing.T) {
	all := vectors(t)
	req := read(t, all["req"])
	header := func(list ...string) *stream.Header {
		h := new(stream.Header)
		for i := 0; i < len(list); i += 2 {
			h.Add(list[i], list[i+1])
		}
		return h
	}
	const result = "\x0b\x00\x00\x00\x00\x00\x02hi\x00"
	for name, c := range map[string]struct {
		m    frame.Message
		want []byte
	}{
		"answer":         {frame.Message{Type: frame.Response, ID: 9, Code: 2, Body: []byte(result), Request: req}, all["resp"]},
		"foreign answer": {frame.Message{Type: frame.Response, ID: 9, Code: -1, Status: 200, Body: []byte(result), Request: req}, all["resp"]},
		"no route":       {frame.Message{Type: frame.Response, ID: 9, Code: -1, Status: 404, Request: req}, all["exception"]},
		"another status": {frame.Message{Type: frame.Response, ID: 9, Code: -1, Status: 404, Origin: read(t, all["resp"]), Body: []byte(result), Request: req}, all["exception"]},
	} {
		c.m.Header = header()
		if got, err := codec.Append(nil, &c.m); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v\n%x, want\n%x", name, err, got, c.want)
		}
	}
	// A request from nothing, and one that is to call something else.
	m := frame.Message{Type: frame.OneWay, ID: 5, Method: "add", Header: header("service", "S"), Body: []byte{0}}
	want, _ := hex.DecodeString("00000026" + "dabc" + "00000026" + "0016" + "01" + "0000000153" + "0000000000000005" + "80010004" + "00000003616464" + "00000005" + "00")
	if got, err := codec.Append(nil, &m); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from nothing: %v\n%x, want\n%x", err, got, want)
	}
	m.Body = nil // no arguments
	if got, err := codec.Append(nil, &m); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from nothing, no body: %v\n%x, want\n%x", err, got, want)
	}
	for name, c := range map[string]struct {
		method string
		header *stream.Header
		want   string
	}{
		"service":        {"echo", header("service", "other", "method", "echo"), "service=other method=echo"},
		"method":         {"add", header("service", "s", "method", "echo"), "service=s method=add"},
		"method's field": {"echo", header("service", "s", "method", "add"), "service=s method=add"},
		"neither":        {"", header("more", "x"), "service=org.demo.Echo$Iface method=echo"},
	} {
		m := frame.Message{Type: frame.Request, ID: 9, Method: c.method, Header: c.header, Body: req.Payload(), Origin: req}
		got, err := codec.Append(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		if again := read(t, got); fields(again.Header) != c.want || !bytes.Equal(again.Payload(), req.Payload()) {
			t.Errorf("%s: %s, want %s", name, fields(again.Header), c.want)
		}
	}
	for name, m := range map[string]frame.Message{
		"no service":       {Type: frame.Request, Method: "add", Header: header(), Body: []byte{0}},
		"a service's name": {Type: frame.Request, Header: header("service", strings.Repeat("x", 1<<16))},
		"heartbeat":        {Type: frame.Heartbeat, Header: header()},
		"go-away":          {Type: frame.GoAway, Header: header()},
	} {
		if got, err := codec.Append([]byte("x"), &m); err == nil || string(got) != "x" {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	// What a newer version puts behind the service stays where it is.
	more := bytes.Clone(all["req"])
	more = bytes.Replace(more, []byte("$Iface"), []byte("$Iface\x00\x00\x00\x01p"), 1)
	more[3], more[9], more[11] = more[3]+5, more[9]+5, more[11]+5
	m2 := read(t, more)
	if m2.ID != 9 || fields(m2.Header) != "service=org.demo.Echo$Iface method=echo" {
		t.Errorf("%+v, %s", m2, fields(m2.Header))
	}
	built := frame.Message{Type: m2.Type, ID: m2.ID, Method: m2.Method, Header: m2.Header, Body: m2.Payload(), Origin: m2}
	if got, err := codec.Append(nil, &built); err != nil || !bytes.Equal(got, more) {
		t.Errorf("%v\n%x, want\n%x", err, got, more)
	}
}

func TestReplies(t *testing.T) {
	req := read(t, vectors(t)["req"])
	for kind, want := range map[stream.Kind]struct {
		exception byte
		text      string
		status    int
	}{
		stream.Internal: {6, "500|internal error", 500}, stream.Canceled: {6, "500|internal error", 500},
		stream.BadMessage: {7, "0|codec exception", 400}, stream.TooLarge: {7, "0|codec exception", 400},
		stream.NoRoute:   {1, "404|router unavailable", 404},
		stream.NoCluster: {0, "502|no health upstream", 502}, stream.NoHost: {0, "502|no health upstream", 502}, stream.Connect: {0, "502|no health upstream", 502},
		stream.Reset: {0, "502|no health upstream", 502}, stream.Stopping: {0, "502|no health upstream", 502},
		stream.Overload: {0, "503|upstream overflow", 503}, stream.Timeout: {6, "504|timeout", 504}, stream.Denied: {6, "403|permission denied", 403},
	} {
		reply := codec.Reply(req, &stream.Error{Kind: kind})
		reply.ID, reply.Request, reply.Header = 3, req, new(stream.Header)
		f, err := codec.Append(nil, &reply)
		if err != nil {
			t.Fatal(err)
		}
		m := read(t, f)
		struc := "\x0b\x00\x01\x00\x00\x00" + string(rune(len(want.text))) + want.text + "\x08\x00\x02\x00\x00\x00" + string(rune(want.exception)) + "\x00"
		if m.ID != 3 || m.Code != dubbothrift.Exception || m.Status != want.status || string(m.Payload()) != struc || !bytes.Contains(f, []byte("\x00\x00\x00\x04echo\x00\x00\x00\x07")) {
			t.Errorf("%v is told as status %d, %q", kind, m.Status, f)
		}
	}
	// What hosts tell.
	for payload, want := range map[string]int{
		"\x00": 500, "": 500, "\x08\x00\x02\x00\x00\x00\x01\x00": 404, "\x08\x00\x02\x00\x00\x00\x07\x00": 400, "\x08\x00\x02\x00\x00\x00\x06\x00": 500,
		"\x08\x00\x02\x00\x00\x00\x01\x0b\x00\x01\x00\x00\x00\x01x\x00": 404, "\x0b\x00\x01\xff\xff\xff\xff": 500, "\x0b\x00\x01\x00\x00\x00\x05404|x\x00": 500,
		"\x0b\x00\x01\x00\x00\x00\x05503|x\x00": 503, "\x0b\x00\x01\x00\x00\x00\x05509|x\x00": 429, "\x0c\x00\x01\x00\x00\x00\x05": 500, "\x08\x00\x09\x00\x00\x00\x01\x00": 500,
	} {
		m := frame.Message{Type: frame.Response, Code: dubbothrift.Exception, Header: new(stream.Header), Body: []byte(payload), Request: req}
		f, err := codec.Append(nil, &m)
		if err != nil || read(t, f).Status != want {
			t.Errorf("exception %q stands for %d, %v; want %d", payload, read(t, f).Status, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for prefix, want := range map[string]protocol.Verdict{
		"": protocol.More, "\x00\x00\x00B": protocol.More, "\x00\x00\x00B\xda": protocol.More, "\x00\x00\x00B\xda\xbc": protocol.Match,
		"\x00\x00\x00B\xdb": protocol.No, "\x00\x00\x00B\xda\xbb": protocol.No,
	} {
		if got := codec.Match([]byte(prefix)); got != want {
			t.Errorf("%x: %v, want %v", prefix, got, want)
		}
	}
}

// Frames whose lengths say what cannot be.
func TestMalformed(t *testing.T) {
	good := vectors(t)["req"]
	for name, at := range map[string]map[int]byte{
		"head too short": {11: 20}, "head too long": {11: 0x3b}, "service too long": {16: 20}, "service very long": {13: 0xff},
		"old Thrift": {44: 0}, "type 0": {47: 0}, "type 5": {47: 5}, "type above": {46: 1}, "method too long": {51: 0x0f}, "method very long": {48: 0xff},
	} {
		f := bytes.Clone(good)
		for i, b := range at {
			f[i] = b
		}
		if m, err := frame.Parse(codec, f); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestConformance(t *testing.T) {
	all := vectors(t)
	frametest.Run(t, codec, frametest.Samples{
		Request: all["req"], Response: all["resp"], OneWay: oneWay(all), More: [][]byte{all["exception"]},
		Garbage: [][]byte{
			[]byte("GET / HTTP/1.1\r\n"),
			{0, 0, 0, 0x42, 0xda, 0xbb},
			{0, 0, 0, 0x42, 0xdb},
			{0, 0, 0, 1, 0xda, 0xbc},
			{0xff, 0xff, 0xff, 0xff, 0xda, 0xbc},
			{0x7f, 0xff, 0xff, 0xff, 0xda, 0xbc},
		},
	})
}

func FuzzFrame(f *testing.F) {
	all := vectors(f)
	f.Add(oneWay(all), uint64(1)<<63)
	for _, v := range all {
		f.Add(v, uint64(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, id uint64) {
		n, err := codec.Size(b)
		if match := codec.Match(b); match == protocol.No && err == nil || match == protocol.More && (n != 0 || err != nil) {
			t.Fatalf("Match says %v, Size %d, %v", match, n, err)
		}
		if err != nil || n == 0 || n > len(b) {
			return
		}
		f := bytes.Clone(b[:n])
		m, err := frame.Parse(codec, b[:n:n])
		if !bytes.Equal(f, b[:n]) {
			t.Fatal("reading has changed the frame")
		}
		if err != nil {
			return
		}
		if m.Start < 37 || m.End != n || m.Start > n {
			t.Fatalf("the payload is [%d:%d] of %d", m.Start, m.End, n)
		}
		codec.SetID(f, id)
		if again := read(t, f); again.ID != id || !bytes.Equal(again.Payload(), m.Payload()) || fields(again.Header) != fields(m.Header) {
			t.Fatalf("another id makes %x", f)
		}
		if codec.SetID(f, m.ID); !bytes.Equal(f, b[:n]) {
			t.Fatalf("its own id makes %x", f)
		}
		built := *m
		built.Frame, built.Origin, built.Body = nil, m, m.Payload()
		out, err := codec.Append(nil, &built)
		if err != nil {
			if m.Header.Get("service") == "" {
				return // which is forwarded, but not built
			}
			t.Fatalf("%x cannot be built again: %v", m.Frame, err)
		}
		again := read(t, out)
		if again.Type != m.Type || again.ID != m.ID || again.Code != m.Code || again.Status != m.Status || fields(again.Header) != fields(m.Header) ||
			len(m.Payload()) > 0 && !bytes.Equal(again.Payload(), m.Payload()) {
			t.Fatalf("%x\nis built again as\n%x", m.Frame, out)
		}
	})
}

// What a frame that is forwarded costs, and what routes need to know of it.
func BenchmarkCodec(b *testing.B) {
	f := vectors(b)["req"]
	var out []byte
	var m frame.Message
	b.ReportAllocs()
	for b.Loop() {
		n, err := codec.Size(f)
		if err != nil {
			b.Fatal(err)
		}
		m.Frame = f[:n]
		if err := codec.Decode(&m); err != nil {
			b.Fatal(err)
		}
		out = append(out[:0], m.Frame...)
		codec.SetID(out, m.ID+1)
	}
}

func BenchmarkFields(b *testing.B) {
	m := read(b, vectors(b)["req"])
	b.ReportAllocs()
	for b.Loop() {
		m.Header.Reset()
		if err := codec.Fields(m); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAllocations(t *testing.T) {
	f := vectors(t)["req"]
	m := read(t, f)
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = codec.Size(f)
		_ = codec.Decode(m)
		out = append(out[:0], f...)
		codec.SetID(out, 3)
	}); n != 0 {
		t.Errorf("%v allocations to forward", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		m.Header.Reset()
		_ = codec.Fields(m)
	}); n > 1 {
		t.Errorf("%v allocations for the fields", n)
	}
}
