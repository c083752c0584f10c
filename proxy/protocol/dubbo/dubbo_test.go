package dubbo_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame/frametest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var codec dubbo.Codec

// vectors returns the frames of the contract by name, without "dubbo.".
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(data)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(name, "dubbo.")
		if all[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// read reads a whole frame with its fields.
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
	const echo = "dubbo=2.0.2 service=org.demo.Echo version=0.0.0 method=echo"
	all := vectors(t)
	cases := []struct {
		name    string
		kind    frame.Type
		id      uint64
		code    int
		status  int
		timeout time.Duration
		method  string
		fields  string
	}{
		{"heartbeat.req", frame.Heartbeat, 1, 0, 0, 0, "", ""},
		{"heartbeat.resp", frame.HeartbeatReply, 1, 0, 0, 0, "", ""},
		{"heartbeat.resp.mosn-variant", frame.HeartbeatReply, 1, 0, 0, 0, "", ""},
		{"req.echo", frame.Request, 2, 0, 0, 3 * time.Second, "echo", echo + " interface=org.demo.Echo"},
		{"req.oneway", frame.OneWay, 3, 0, 0, 3 * time.Second, "echo", echo + " interface=org.demo.Echo"},
		{"req.add-two-ints", frame.Request, 4, 0, 0, 0, "add", "dubbo=2.0.2 service=org.demo.Add version=0.0.0 method=add"},
		{"resp.value", frame.Response, 2, 20, 200, 0, "", "rpc-status=20"},
		{"resp.null", frame.Response, 2, 20, 200, 0, "", "rpc-status=20"},
		{"resp.value.attachments", frame.Response, 2, 20, 200, 0, "", "rpc-status=20"},
		{"resp.exception-as-string", frame.Response, 2, 20, 200, 0, "", "rpc-status=20"},
		{"resp.error.service-not-found", frame.Response, 2, 60, 404, 0, "", "rpc-status=60"},
		{"resp.error.client-timeout", frame.Response, 2, 30, 504, 0, "", "rpc-status=30"},
		{"event.readonly", frame.GoAway, 0, 0, 0, 0, "", ""},
		{"req.fastjson", frame.Request, 5, 0, 0, 0, "echo", "dubbo-serialization=6 " + echo},
	}
	if len(cases) != len(all) {
		t.Errorf("%d cases for %d vectors", len(cases), len(all))
	}
	for _, c := range cases {
		f := all[c.name]
		m := read(t, f)
		if m.Type != c.kind || m.ID != c.id || m.Code != c.code || m.Status != c.status || m.Timeout != c.timeout || m.Method != c.method || fields(m.Header) != c.fields {
			t.Errorf("%s: %+v\nfields %s", c.name, m, fields(m.Header))
		}
		if !bytes.Equal(m.Payload(), f[16:]) {
			t.Errorf("%s: payload %x", c.name, m.Payload())
		}
		// Built of what was read, it is the same, byte for byte.
		built := frame.Message{Type: m.Type, ID: m.ID, Method: m.Method, Header: m.Header, Timeout: m.Timeout, Code: m.Code, Status: m.Status, Body: m.Payload(), Origin: m}
		if got, err := codec.Append(nil, &built); err != nil || !bytes.Equal(got, f) {
			t.Errorf("%s: built again: %v\n%x, want\n%x", c.name, err, got, f)
		}
		other := bytes.Clone(f)
		codec.SetID(other, 1<<63|77)
		if m := read(t, other); m.ID != 1<<63|77 || !bytes.Equal(other[:4], f[:4]) || !bytes.Equal(other[12:], f[12:]) {
			t.Errorf("%s with another id: %x", c.name, other)
		}
	}
}

// What is built from nothing is as the contract has it.
func TestBuild(t *testing.T) {
	all := vectors(t)
	for name, m := range map[string]frame.Message{
		"heartbeat.req":                {Type: frame.Heartbeat, ID: 1},
		"event.readonly":               {Type: frame.GoAway},
		"req.echo":                     {Type: frame.Request, ID: 2, Body: all["req.echo"][16:]},
		"req.oneway":                   {Type: frame.OneWay, ID: 3, Body: all["req.oneway"][16:]},
		"resp.value":                   {Type: frame.Response, ID: 2, Code: -1, Status: 200, Body: []byte("hi")},
		"resp.null":                    {Type: frame.Response, ID: 2, Code: -1, Status: 204},
		"resp.exception-as-string":     {Type: frame.Response, ID: 2, Code: 20, Status: 200, Body: []byte("\x90\x04boom")},
		"resp.error.service-not-found": {Type: frame.Response, ID: 2, Code: -1, Status: 404},
		"resp.error.client-timeout":    {Type: frame.Response, ID: 2, Code: -1, Status: 504},
	} {
		m.Header = new(stream.Header)
		if got, err := codec.Append([]byte("x"), &m); err != nil || string(got) != "x"+string(all[name]) {
			t.Errorf("%s: %v\n%x, want\n%x", name, err, got, all[name])
		}
	}
	for name, body := range map[string]string{"nothing": "", "no call": "{}", "two strings": "\x01a\x01b", "an int": "\x01a\x91\x01c\x01d\x00"} {
		m := frame.Message{Type: frame.Request, Header: new(stream.Header), Body: []byte(body)}
		if got, err := codec.Append([]byte("x"), &m); err == nil || string(got) != "x" {
			t.Errorf("%s: %x, %v; want an error, and nothing added", name, got, err)
		}
	}
}

// request is a frame with id 9.
func request(flag byte, body string) []byte {
	f := []byte{0xda, 0xbb, flag, 0, 0, 0, 0, 0, 0, 0, 0, 9}
	f = binary.BigEndian.AppendUint32(f, uint32(len(body)))
	return append(f, body...)
}

const echoCall = "\x052.0.2\x01S\x011\x01m"

func TestFields(t *testing.T) {
	const known = "dubbo=2.0.2 service=S version=1 method=m"
	big := "\x79" + "S\x40\x00" + strings.Repeat("x", 0x4000)
	var many, shown string
	for i := range 600 {
		if many += "\x03" + strconv.Itoa(100+i) + "\x01v"; i < 512 {
			shown += " " + strconv.Itoa(100+i) + "=v"
		}
	}
	for name, c := range map[string]struct{ body, want string }{
		"no attachments":             {echoCall + "\x00N", known},
		"empty ones":                 {echoCall + "\x00HZ", known},
		"group":                      {echoCall + "\x00H\x05group\x01gZ", known + " group=g"},
		"typed map":                  {echoCall + "\x00M\x0djava.util.Map\x05group\x01gZ", known + " group=g"},
		"an empty value":             {echoCall + "\x00H\x01a\x00Z", known + " a="},
		"values that are no strings": {echoCall + "\x00H\x01a\x91\x01bN\x92\x01c\x01d\x78\x01e\x01fZ", known + " e=f"},
		"what repeats":               {echoCall + "\x00H\x04path\x01S\x07version\x012\x05dubbo\x013\x07service\x014\x06METHOD\x015\x0arpc-status\x016\x01k\x01vZ", known + " k=v"},
		"null version":               {"\x052.0.2\x01SN\x01m\x00HZ", "dubbo=2.0.2 service=S method=m"},
		"null types":                 {echoCall + "NHZ", known},
		"class unknown":              {echoCall + "\x0aLorg/Foo;IC\x08org.Foo1\x92\x01a\x01b\x60\x91C\x01X\x91\x01c\x61N\x95H\x05group\x01gZ", known + " group=g"},
		"arguments that are none":    {echoCall + "\x01IEEH\x01a\x01bZ", known},
		"fewer arguments":            {echoCall + "\x02II\x91H\x01a\x01bZ", known},
		"types that are none":        {echoCall + "\x03foo\x91H\x01a\x01bZ", known},
		"no map":                     {echoCall + "\x01I\x91\x92", known},
		"cut map":                    {echoCall + "\x00H\x01a\x01b\x01c", known + " a=b"},
		"nothing after":              {echoCall + "\x00", known},
		"large argument":             {echoCall + "\x02[I" + big + "H\x05group\x01gZ", known + " group=g"},
		"large attachment":           {echoCall + "\x00H\x01k" + big[1:] + "\x05group\x01gZ", known + " k=" + strings.Repeat("x", 0x4000) + " group=g"},
		"a reference":                {echoCall + "\x00Q\x90", known},
		"a value in pieces":          {echoCall + "\x00H\x01aR\x00\x01x\x01y\x05group\x01gZ", known + " group=g"},
		"many":                       {echoCall + "\x00H" + many + "Z", known + shown},
	} {
		m := read(t, request(0xc2, c.body))
		if got := fields(m.Header); got != c.want || m.Method != "m" {
			t.Errorf("%s: method %q,\n%.300s; want\n%.300s", name, m.Method, got, c.want)
		}
	}
	for name, body := range map[string]string{
		"nothing": "", "one string": "\x052.0.2", "no types": echoCall, "a number as service": "\x052.0.2\x91\x011\x01m\x00N", "method in pieces": "\x052.0.2\x01S\x011R\x00\x01m\x00\x00N",
	} {
		if m, err := frame.Parse(codec, request(0xc2, body)); err == nil {
			t.Errorf("%s: %s", name, fields(m.Header))
		}
	}
	for value, want := range map[string]time.Duration{"\x043000": 3 * time.Second, "\x010": 0, "\x02-1": 0, "\x01x": 0, "\x00": 0, "\x0a4000000000": frame.Never, "\xcb\xb8": 0} {
		if m := read(t, request(0xc2, echoCall+"\x00H\x07timeout"+value+"Z")); m.Timeout != want {
			t.Errorf("timeout %q is %v, want %v", value, m.Timeout, want)
		}
	}
	for name, c := range map[string]struct{ body, want string }{
		"fastjson":        {"\"2.0.2\"\n\"S\"\r\nnull\n\"m\"\n", "dubbo=2.0.2 service=S version= method=m"},
		"three lines":     {"\"2.0.2\"\n\"S\"\n\"1\"\n", ""},
		"an escape":       {"\"2.0.2\"\n\"S\\u0041\"\n\"1\"\n\"m\"\n", ""},
		"no string":       {"\"2.0.2\"\n{}\n\"1\"\n\"m\"\n", ""},
		"a quote between": {"\"2.0.2\"\n\"S\"S\"\n\"1\"\n\"m\"\n", ""},
		"a quote alone":   {"\"2.0.2\"\n\"\n\"1\"\n\"m\"\n", ""},
	} {
		want := strings.TrimSpace("dubbo-serialization=6 " + c.want)
		if got := fields(read(t, request(0xc6, c.body)).Header); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for in := range byte(32) {
		if in == 2 || in == 6 {
			continue
		}
		if m := read(t, request(0xc0|in, "\x00\xff")); fields(m.Header) != "dubbo-serialization="+strconv.Itoa(int(in)) || string(m.Payload()) != "\x00\xff" {
			t.Errorf("serialisation %d: %s", in, fields(m.Header))
		}
	}
}

// Whoever answers in place of the host, the caller gets Dubbo.
func TestReplies(t *testing.T) {
	all := vectors(t)
	echo := read(t, all["req.echo"])
	reply := func(req *frame.Message, e *stream.Error) []byte {
		m := codec.Reply(req, e)
		m.ID, m.Request, m.Header = 2, req, new(stream.Header)
		f, err := codec.Append(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for kind, want := range map[stream.Kind]struct {
		status byte
		text   string
	}{
		stream.Internal: {70, "500|internal error"}, stream.Canceled: {70, "500|internal error"},
		stream.BadMessage: {70, "0|codec exception"}, stream.TooLarge: {70, "0|codec exception"},
		stream.NoRoute:   {60, "404|router unavailable"},
		stream.NoCluster: {60, "502|no health upstream"}, stream.NoHost: {60, "502|no health upstream"}, stream.Connect: {60, "502|no health upstream"},
		stream.Reset: {60, "502|no health upstream"}, stream.Stopping: {60, "502|no health upstream"},
		stream.Overload: {40, "503|upstream overflow"}, stream.Timeout: {30, "504|timeout"}, stream.Denied: {80, "403|permission denied"},
	} {
		f := reply(echo, &stream.Error{Kind: kind})
		if f[2] != 2 || f[3] != want.status || string(f[16:]) != string(rune(len(want.text)))+want.text {
			t.Errorf("%v: %q, want %v", kind, f, want)
		}
		read(t, f)
	}
	if f := reply(echo, &stream.Error{Kind: stream.NoRoute}); !bytes.Equal(f, all["resp.error.service-not-found"]) {
		t.Errorf("no route: %x", f)
	}
	if f := reply(echo, &stream.Error{Kind: stream.Timeout}); !bytes.Equal(f, all["resp.error.client-timeout"]) {
		t.Errorf("timeout: %x", f)
	}
	if f := reply(read(t, all["req.fastjson"]), &stream.Error{Kind: stream.Timeout}); f[2] != 6 || string(f[16:]) != "\"504|timeout\"\n" {
		t.Errorf("fastjson: %q", f)
	}
	if f := reply(read(t, request(0xc8, "x")), &stream.Error{Kind: stream.Timeout}); f[2] != 2 || string(f[16:]) != "\x0b504|timeout" {
		t.Errorf("kryo: %q", f)
	}
	for name, c := range map[string]struct {
		req, want []byte
	}{
		"hessian2":           {request(0xe2, "N"), request(0x22, "N")},
		"hessian2, two":      {request(0xe2, "NN"), request(0x22, "N")},
		"hessian2, nothing":  {request(0xe2, ""), request(0x22, "N")},
		"fastjson":           {request(0xe6, "null\n"), request(0x26, "null\n")},
		"another":            {request(0xe8, "\x00"), request(0x28, "\x00")},
		"another, very long": {request(0xe8, strings.Repeat("x", 65)), request(0x22, "N")},
	} {
		c.want[3], c.want[11] = 20, 2
		if f := reply(read(t, c.req), nil); !bytes.Equal(f, c.want) {
			t.Errorf("heartbeat, %s: %x, want %x", name, f, c.want)
		}
	}
	// Answers that a filter or another protocol has made.
	java := read(t, request(0xc3, "x"))
	json := read(t, all["req.fastjson"])
	for name, c := range map[string]struct {
		m    frame.Message
		want string
	}{
		"text":                 {frame.Message{Status: 200, Body: []byte("hi"), Request: echo}, "\x02\x14\x91\x02hi"},
		"text for fastjson":    {frame.Message{Status: 200, Body: []byte("h\"i"), Request: json}, "\x06\x141\n\"h\\\"i\"\n"},
		"nothing for fastjson": {frame.Message{Status: 200, Request: json}, "\x06\x142\n"},
		"for another":          {frame.Message{Status: 200, Body: []byte("\xffhi"), Request: java}, "\x03\x14\xffhi"},
		"no text":              {frame.Message{Status: 200, Body: []byte("\xffhi"), Request: echo}, "\x02\x46\x30\x2a500|the answer is neither Dubbo's nor text"},
		"denied":               {frame.Message{Status: 403, Body: []byte("not you"), Request: echo}, "\x02\x50\x0b403|not you"},
		"limited":              {frame.Message{Status: 429, Request: java}, "\x02\x28\x12509|limit exceeded"},
		"teapot":               {frame.Message{Status: 418, Body: []byte("\xff")}, "\x02\x46\x12500|internal error"},
		"error, fastjson":      {frame.Message{Status: 503, Body: []byte("later"), Request: json}, "\x06\x28\"503|later\"\n"},
	} {
		c.m.Type, c.m.Code, c.m.Header = frame.Response, -1, new(stream.Header)
		f, err := codec.Append(nil, &c.m)
		if err != nil || string(f[2:4])+string(f[16:]) != c.want {
			t.Errorf("%s: %v, %q, want %q", name, err, f, c.want)
		}
	}
	long := frame.Message{Type: frame.Response, Code: -1, Status: 500, Body: []byte(strings.Repeat("渠", 5000)), Header: new(stream.Header)}
	if f, err := codec.Append(nil, &long); err != nil || len(f) > 5000 || !bytes.HasSuffix(f, []byte("渠")) {
		t.Errorf("a long text: %v, %d bytes", err, len(f))
	}
	// An answer whose status a filter has changed.
	origin := read(t, all["resp.value"])
	changed := frame.Message{Type: frame.Response, ID: 2, Code: -1, Status: 404, Body: origin.Payload(), Origin: origin, Request: echo, Header: origin.Header}
	if f, err := codec.Append(nil, &changed); err != nil || !bytes.Equal(f, all["resp.error.service-not-found"]) {
		t.Errorf("another status: %x, %v", f, err)
	}
}

func TestStatuses(t *testing.T) {
	for code, want := range map[byte]int{20: 200, 30: 504, 31: 504, 40: 400, 50: 500, 60: 404, 70: 500, 80: 500, 90: 500, 100: 503, 0: 500, 255: 500} {
		for _, body := range []string{"", "\x02hi", "\x31", "S\x00", "\x03200", "\x04200|", "\x04-50|", "\x91502|", "\x04302|"} {
			f := request(2, body)
			if f[3] = code; read(t, f).Status != want {
				t.Errorf("status %d, %q stands for %d, want %d", code, body, read(t, f).Status, want)
			}
		}
	}
	// A proxy behind us says more.
	for _, c := range []struct {
		flag, code byte
		body       string
		want       int
	}{
		{2, 60, "\x16502|no health upstream", 502},
		{2, 60, "\x16404|router unavailable", 404},
		{2, 40, "\x15503|upstream overflow", 503},
		{2, 40, "\x12509|limit exceeded", 429},
		{2, 80, "\x15403|permission denied", 403},
		{2, 80, "\x05401|x", 401},
		{2, 70, "\x05418|x", 418},
		{2, 40, "S\x00\x05503|x", 503},
		{2, 40, "\x30\x05503|x", 503},
		{6, 40, "\"503|x\"\n", 503},
		{2, 60, "\x15503|upstream overflow", 404},
		{8, 60, "\x16502|no health upstream", 404},
		{2, 20, "\x16502|no health upstream", 200},
	} {
		f := request(c.flag, c.body)
		if f[3] = c.code; read(t, f).Status != c.want {
			t.Errorf("status %d, %q stands for %d, want %d", c.code, c.body, read(t, f).Status, c.want)
		}
	}
}

func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		flag byte
		body string
		want frame.Type
	}{
		"read-only":              {0xa2, "\x01R", frame.GoAway},
		"read-only, two-way":     {0xe2, "\x01R", frame.GoAway},
		"read-only, fastjson":    {0xa6, "\"R\"\n", frame.GoAway},
		"read-only, another":     {0xa8, "\x03\x01\xd2", frame.GoAway},
		"writable":               {0xa2, "\x01W", frame.HeartbeatReply},
		"null, one-way":          {0xa2, "N", frame.HeartbeatReply},
		"heartbeat, another":     {0xe8, "\x00", frame.Heartbeat},
		"heartbeat, no body":     {0xe2, "", frame.Heartbeat},
		"answer, another":        {0x28, "\x00", frame.HeartbeatReply},
		"answer with two-way":    {0x62, "N", frame.HeartbeatReply},
		"answer that is no JSON": {0xa6, "R", frame.HeartbeatReply},
	} {
		if m := read(t, request(c.flag, c.body)); m.Type != c.want {
			t.Errorf("%s: type %d, want %d", name, m.Type, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	for prefix, want := range map[string]protocol.Verdict{"": protocol.More, "\xda": protocol.More, "\xda\xbb": protocol.Match, "\xda\xbc": protocol.No, "\xdb": protocol.No, "GET /": protocol.No} {
		if got := codec.Match([]byte(prefix)); got != want {
			t.Errorf("%x: %v, want %v", prefix, got, want)
		}
	}
}

func samples(all map[string][]byte, in byte) frametest.Samples {
	with := func(f []byte) []byte {
		f = bytes.Clone(f)
		f[2] = f[2]&^0x1f | in
		return f
	}
	s := frametest.Samples{
		Request: with(all["req.echo"]), Response: with(all["resp.value"]), OneWay: with(all["req.oneway"]),
		Heartbeat: all["heartbeat.req"], HeartbeatReply: all["heartbeat.resp"], GoAway: all["event.readonly"],
		Garbage: [][]byte{
			{0},
			[]byte("GET / HTTP/1.1\r\n\r\n"),
			{0xda, 0xbc},
			{0xbb, 0xda},
			{0xda, 0xbb, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		},
	}
	for _, f := range all {
		s.More = append(s.More, f)
	}
	return s
}

// The suite's payloads may be anything, so its own frames are in a serialisation
// that nobody looks into; the contract's are among them as they are.
func TestConformance(t *testing.T) {
	frametest.Run(t, codec, samples(vectors(t), 3))
}
