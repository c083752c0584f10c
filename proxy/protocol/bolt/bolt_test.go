package bolt_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame/frametest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vectors returns the frames of testdata/vectors.txt by name.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if all[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// read reads a whole frame with its fields.
func read(t testing.TB, f []byte) *frame.Message {
	t.Helper()
	if n, err := bolt.V1().Size(f); err != nil || n != len(f) {
		t.Fatalf("%x: size %d, %v", f, n, err)
	}
	m, err := frame.Parse(bolt.V1(), f)
	if err != nil {
		t.Fatalf("%x: %v", f, err)
	}
	return m
}

func fields(h *stream.Header) string {
	var list []string
	for name, value := range h.All() {
		if name != frame.StatusField {
			list = append(list, name+"="+value)
		}
	}
	return strings.Join(list, " ")
}

func TestVectors(t *testing.T) {
	all := vectors(t)
	seen := 0
	for _, c := range []struct {
		name    string
		kind    frame.Type
		id      uint64
		timeout time.Duration
		code    int
		status  int
		method  string
		fields  string
		payload string
	}{
		{"bolt1.req.two-headers", frame.Request, 1, 3 * time.Second, 0, 0, "echo", "service=com.demo.Echo:1.0 sofa_head_method_name=echo", "ping"},
		{"bolt1.req.tiny", frame.Request, 2, 3 * time.Second, 0, 0, "", "k1=v1 k2=", "\x01\x02"},
		{"bolt1.resp.ok", frame.Response, 1, 0, 0, 200, "", "", "pong"},
		{"bolt1.resp.ok.tiny-header", frame.Response, 2, 0, 0, 200, "", "k=v", "\x03"},
		{"bolt1.oneway", frame.OneWay, 3, 3 * time.Second, 0, 0, "", "", "x"},
		{"bolt1.heartbeat.req", frame.Heartbeat, 4, 0, 0, 0, "", "", ""},
		{"bolt1.heartbeat.ack", frame.HeartbeatReply, 4, 0, 0, 0, "", "", ""},
		{"bolt1.resp.timeout-hijack", frame.Response, 5, 0, 7, 504, "", "", ""},
		{"bolt1.resp.no-processor-hijack", frame.Response, 6, 0, 6, 500, "", "", ""},
		{"bolt1.goaway.mosn", frame.GoAway, 7, 0, 0, 0, "", "", ""},
		{"bolt1.req.null-header-value", frame.Request, 8, 3 * time.Second, 0, 0, "", "b=c", ""},
		{"bolt2.req.no-crc", frame.Request, 1, 3 * time.Second, 0, 0, "", "k1=v1 k2=v2", "ping"},
		{"bolt2.resp.no-crc", frame.Response, 1, 0, 0, 200, "", "", "pong"},
		{"bolt2.req.ver1-switch-on-but-no-crc", frame.Request, 6, 3 * time.Second, 0, 0, "", "", "x"},
		{"bolt2.req.crc", frame.Request, 2, 3 * time.Second, 0, 0, "", "k1=v1 k2=v2", "ping"},
		{"bolt2.req.crc.id-rewritten-to-99", frame.Request, 99, 3 * time.Second, 0, 0, "", "k1=v1 k2=v2", "ping"},
		{"bolt2.resp.crc", frame.Response, 2, 0, 0, 200, "", "", "pong"},
		{"bolt2.heartbeat.req", frame.Heartbeat, 3, 0, 0, 0, "", "", ""},
		{"bolt2.heartbeat.ack", frame.HeartbeatReply, 3, 0, 0, 0, "", "", ""},
		{"bolt2.heartbeat.req.crc", frame.Heartbeat, 7, 0, 0, 0, "", "", ""},
		{"bolt2.heartbeat.ack.crc", frame.HeartbeatReply, 7, 0, 0, 0, "", "", ""},
		{"bolt2.oneway", frame.OneWay, 4, 3 * time.Second, 0, 0, "", "", "x"},
		{"bolt2.resp.overload-hijack", frame.Response, 5, 0, 4, 503, "", "", ""},
	} {
		f, ok := all[c.name]
		if !ok {
			t.Errorf("%s is not in the file", c.name)
			continue
		}
		seen++
		m := read(t, f)
		if m.Type != c.kind || m.ID != c.id || m.Timeout != c.timeout || m.Code != c.code || m.Status != c.status ||
			m.Method != c.method || fields(m.Header) != c.fields || string(m.Payload()) != c.payload {
			t.Errorf("%s: %+v, payload %q, fields %s", c.name, m, m.Payload(), fields(m.Header))
		}
		again := append([]byte(nil), f...)
		bolt.V1().SetID(again, 7)
		if m := read(t, again); m.ID != 7 {
			t.Errorf("%s: id %d, want 7", c.name, m.ID)
		}
		if bolt.V1().SetID(again, c.id); !bytes.Equal(again, f) {
			t.Errorf("%s with its own id is %x", c.name, again)
		}
	}
	if seen != len(all) {
		t.Errorf("%d of %d vectors", seen, len(all))
	}
	f := append([]byte(nil), all["bolt2.req.crc"]...)
	if bolt.V2().SetID(f, 99); !bytes.Equal(f, all["bolt2.req.crc.id-rewritten-to-99"]) {
		t.Errorf("another id makes %x", f)
	}
}

// What is built is what the vectors say.
func TestBuild(t *testing.T) {
	all := vectors(t)
	header := func(list ...string) *stream.Header {
		h := new(stream.Header)
		for i := 0; i < len(list); i += 2 {
			h.Add(list[i], list[i+1])
		}
		return h
	}
	origin := func(name string) *frame.Message { return read(t, all[name]) }
	for _, c := range []struct {
		want  string
		codec bolt.Codec
		m     frame.Message
	}{
		{"bolt1.req.two-headers", bolt.V1(), frame.Message{
			Type: frame.Request, ID: 1, Timeout: 3 * time.Second, Body: []byte("ping"),
			Header: header(bolt.ClassField, "com.alipay.sofa.rpc.core.request.SofaRequest", "service", "com.demo.Echo:1.0", "sofa_head_method_name", "echo", frame.StatusField, "1"),
		}},
		{"bolt1.oneway", bolt.V1(), frame.Message{Type: frame.OneWay, ID: 3, Timeout: 3 * time.Second, Header: header("Bolt-Class", "C"), Body: []byte("x")}},
		{"bolt1.heartbeat.req", bolt.V1(), frame.Message{Type: frame.Heartbeat, ID: 4}},
		{"bolt1.heartbeat.ack", bolt.V1(), frame.Message{Type: frame.HeartbeatReply, ID: 4, Request: origin("bolt1.heartbeat.req")}},
		{"bolt1.goaway.mosn", bolt.V1(), frame.Message{Type: frame.GoAway, ID: 7}},
		{"bolt1.resp.ok.tiny-header", bolt.V1(), frame.Message{Type: frame.Response, ID: 2, Code: -1, Status: 200, Header: header(bolt.ClassField, "R", "k", "v"), Body: []byte{3}}},
		{"bolt2.heartbeat.req", bolt.V2(), frame.Message{Type: frame.Heartbeat, ID: 3}},
		{"bolt2.heartbeat.ack", bolt.V2(), frame.Message{Type: frame.HeartbeatReply, ID: 3, Request: origin("bolt2.heartbeat.req")}},
		{"bolt2.heartbeat.ack.crc", bolt.V2(), frame.Message{Type: frame.HeartbeatReply, ID: 7, Request: origin("bolt2.heartbeat.req.crc")}},
		{"bolt2.resp.overload-hijack", bolt.V2(), frame.Message{Type: frame.Response, ID: 5, Code: -1, Status: 503, Request: origin("bolt2.req.no-crc")}},
		{"bolt2.resp.crc", bolt.V2(), frame.Message{Type: frame.Response, ID: 2, Header: header(bolt.ClassField, "R"), Body: []byte("pong"), Request: origin("bolt2.req.crc")}},
		{"bolt2.req.crc.id-rewritten-to-99", bolt.V2(), frame.Message{
			Type: frame.Request, ID: 99, Timeout: 3 * time.Second, Header: header("k1", "v1", "k2", "v2"), Body: []byte("ping"), Origin: origin("bolt2.req.crc"),
		}},
		{"bolt2.req.no-crc", bolt.V2(), frame.Message{
			Type: frame.Request, ID: 1, Timeout: 3 * time.Second, Header: header("k1", "v1", "k2", "v2", bolt.ClassField, "C"), Body: []byte("ping"),
		}},
	} {
		if c.m.Header == nil {
			c.m.Header = header()
		}
		got, err := c.codec.Append(nil, &c.m)
		want := all[c.want]
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", c.want, err, got, want)
		}
	}
}

// Local errors have the status of the table, in the version of the caller.
func TestReplies(t *testing.T) {
	all := vectors(t)
	req1, req2 := read(t, all["bolt1.req.tiny"]), read(t, all["bolt2.req.no-crc"])
	for _, c := range []struct {
		kind   stream.Kind
		v1, v2 int
	}{
		{stream.NoRoute, 6, 6},
		{stream.NoCluster, 6, 6},
		{stream.NoHost, 6, 6},
		{stream.Connect, 6, 6},
		{stream.Reset, 6, 6},
		{stream.Overload, 4, 4},
		{stream.Stopping, 4, 4},
		{stream.Timeout, 7, 7},
		{stream.BadMessage, 9, 9},
		{stream.TooLarge, 9, 9},
		{stream.Denied, 2, 3},
		{stream.Internal, 3, 3},
		{stream.Canceled, 3, 3},
	} {
		for req, want := range map[*frame.Message]int{req1: c.v1, req2: c.v2} {
			reply := bolt.V1().Reply(req, &stream.Error{Kind: c.kind})
			reply.ID, reply.Request, reply.Header = 5, req, new(stream.Header)
			f, err := bolt.V1().Append(nil, &reply)
			if err != nil {
				t.Fatal(err)
			}
			if m := read(t, f); m.Code != want || f[0] != req.Frame[0] || len(m.Payload()) != 0 {
				t.Errorf("%v is told to version %d as %x", c.kind, req.Frame[0], f)
			}
		}
	}
	for status, want := range map[int]int{200: 0, 204: 0, 302: 0, 404: 6, 502: 6, 503: 4, 504: 7, 400: 9, 403: 2, 401: 2, 500: 3, 509: 3, 429: 3, 409: 3} {
		f, err := bolt.V1().Append(nil, &frame.Message{Type: frame.Response, Code: -1, Status: status, Header: new(stream.Header)})
		if err != nil || read(t, f).Code != want {
			t.Errorf("HTTP status %d: %x, %v; want %d", status, f, err, want)
		}
	}
	for code, want := range map[byte]int{0: 200, 1: 500, 2: 500, 3: 500, 4: 503, 5: 500, 6: 500, 7: 504, 8: 500, 9: 500, 16: 502, 17: 500, 18: 500, 99: 500} {
		f := append([]byte(nil), all["bolt1.resp.timeout-hijack"]...)
		f[11] = code
		if m := read(t, f); m.Code != int(code) || m.Status != want || m.Refused != (code == 6 || code == 9 || code == 18) {
			t.Errorf("status %d stands for %d, want %d; it blames the call: %v", code, m.Status, want, m.Refused)
		}
	}
}

func samples(t testing.TB, version string) frametest.Samples {
	all := vectors(t)
	s := frametest.Samples{
		Request: all["bolt1.req.two-headers"], Response: all[version+".resp.ok"], OneWay: all[version+".oneway"],
		Heartbeat: all[version+".heartbeat.req"], HeartbeatReply: all[version+".heartbeat.ack"], GoAway: all["bolt1.goaway.mosn"],
		Garbage: [][]byte{
			{3}, {0}, {1, 3}, {2, 0}, {2, 3}, {2, 1, 9}, {1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		},
	}
	for name, f := range all {
		if strings.HasPrefix(name, "bolt") && name != "bolt1.req.null-header-value" {
			s.More = append(s.More, f)
		}
	}
	if version == "bolt2" {
		s.Request, s.Response = all["bolt2.req.crc"], all["bolt2.resp.crc"]
		wrong := append([]byte(nil), s.Request...)
		wrong[len(wrong)-1]++
		s.Garbage = append(s.Garbage, wrong)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Run("v1", func(t *testing.T) { frametest.Run(t, bolt.V1(), samples(t, "bolt1")) })
	t.Run("v2", func(t *testing.T) { frametest.Run(t, bolt.V2(), samples(t, "bolt2")) })
}

func FuzzV1(f *testing.F) { frametest.Fuzz(f, bolt.V1(), samples(f, "bolt1")) }
func FuzzV2(f *testing.F) { frametest.Fuzz(f, bolt.V2(), samples(f, "bolt2")) }

// What has changed on the way is sent as it is now, the rest as it came.
func TestChanged(t *testing.T) {
	m := read(t, vectors(t)["bolt1.req.two-headers"])
	var h stream.Header
	h.Add("Service", "other")
	h.Add("added", "1")
	built := *m
	built.Frame, built.Origin, built.Header, built.Method, built.Body, built.ID = nil, m, &h, "say", []byte("new content"), 9
	f, err := bolt.V1().Append(nil, &built)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, f)
	if fields(got.Header) != "Service=other added=1 sofa_head_method_name=say" || got.Method != "say" || string(got.Payload()) != "new content" || got.ID != 9 {
		t.Errorf("%+v %s", got, fields(got.Header))
	}
	if class := string(f[22 : 22+44]); class != "com.alipay.sofa.rpc.core.request.SofaRequest" {
		t.Errorf("class %q", class)
	}
	// From one version to the other.
	if f, err = bolt.V2().Append(nil, &built); err != nil || f[0] != 2 || !strings.HasPrefix(string(f[24:]), "com.alipay") || string(read(t, f).Payload()) != "new content" {
		t.Errorf("as version 2: %x, %v", f, err)
	}
	built.Origin = read(t, vectors(t)["bolt2.req.crc"])
	if f, err = bolt.V1().Append(nil, &built); err != nil || f[0] != 1 || string(read(t, f).Payload()) != "new content" {
		t.Errorf("as version 1: %x, %v", f, err)
	}
}

// A request whose service is only in SOFA's own field can be routed by it, and
// is sent on without what was added for that.
func TestService(t *testing.T) {
	h := new(stream.Header)
	h.Add("sofa_head_target_service", "com.demo.Echo:1.0")
	h.Add("sofa_head_method_name", "echo")
	f, err := bolt.V1().Append(nil, &frame.Message{Type: frame.Request, ID: 1, Header: h})
	if err != nil {
		t.Fatal(err)
	}
	m := read(t, f)
	if m.Header.Get("service") != "com.demo.Echo:1.0" || m.Method != "echo" || m.Timeout != frame.Never {
		t.Errorf("%+v %s", m, fields(m.Header))
	}
	built := *m
	built.Frame, built.Origin = nil, m
	if again, err := bolt.V1().Append(nil, &built); err != nil || !bytes.Equal(again, f) {
		t.Errorf("%x\nis sent on as\n%x: %v", f, again, err)
	}
	m.Header.Set("service", "changed")
	if again, err := bolt.V1().Append(nil, &built); err != nil || read(t, again).Header.Get("service") != "changed" {
		t.Errorf("a changed service: %x, %v", again, err)
	}
}

// What cannot be said in a frame is an error that says why.
func TestUnbuildable(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"long", strings.Repeat("x", 40_000), "the header block has 40012 bytes, 32767 are possible"},
		{bolt.ClassField, strings.Repeat("x", 40_000), "the class name has 40000 bytes"},
		{bolt.CodecField, "256", "bolt-codec is no number below 256"},
	} {
		h := new(stream.Header)
		h.Add(c.name, c.value)
		dst, err := bolt.V1().Append([]byte("x"), &frame.Message{Type: frame.Request, Header: h})
		if err == nil || !strings.Contains(err.Error(), c.want) || string(dst) != "x" {
			t.Errorf("%s: %q, %v", c.name, dst, err)
		}
	}
	bad := vectors(t)["bolt1.req.two-headers"]
	for cut := 1; cut < 60; cut++ { // lengths in the header block that do not fit
		f := append([]byte(nil), bad...)
		f[22+44+3] = byte(7 + cut)
		if m, err := frame.Parse(bolt.V1(), f); err == nil && fields(m.Header) == fields(read(t, bad).Header) {
			t.Errorf("a key that is %d bytes too long makes no difference", cut)
		}
	}
}

// A pair by the name of the status is not taken for it.
func TestStatusIsNoPair(t *testing.T) {
	h := new(stream.Header)
	h.Add("a", "b")
	f, err := bolt.V1().Append(nil, &frame.Message{Type: frame.Response, Code: bolt.ServerBusy, Header: h})
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(f, []byte("\x00\x00\x00\x01a\x00\x00\x00\x01b"), []byte("\x00\x00\x00\x0arpc-status\x00\x00\x00\x010"), 1)
	binary.BigEndian.PutUint16(forged[14:], binary.BigEndian.Uint16(f[14:])+9)
	if got := read(t, forged).Header; got.Len() != 1 || got.Get(frame.StatusField) != "4" {
		t.Errorf("the fields are %v", got)
	}
}
