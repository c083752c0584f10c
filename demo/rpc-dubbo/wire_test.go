package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"log"
	"reflect"
	"strings"
	"testing"
)

// echoCall is org.demo.Echo.echo("hi"), as another implementation writes it.
const echoCall = "dabbc20000000000000000020000007d05322e302e320d6f72672e64656d6f2e4563686f05302e302e30046563686f124c6a6176612f6c616e672f537472696e673b0268694804706174680d6f72672e64656d6f2e4563686f09696e746572666163650d6f72672e64656d6f2e4563686f0776657273696f6e05302e302e300774696d656f757404333030305a"

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Frames of others are read, and answered as they expect.
func TestAnswer(t *testing.T) {
	for _, c := range []struct{ name, request, reply string }{
		{"heartbeat", "dabbe2000000000000000001000000014e", "dabb22140000000000000001000000014e"},
		{"call", echoCall, "dabb02140000000000000002" + "0000000f" + "94" + "026869" + "48" + "07782d746f6b656e" + "00" + "5a"},
	} {
		m, err := read(bytes.NewReader(unhex(t, c.request)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := hex.EncodeToString(answer(t.Context(), m, log.New(t.Output(), "", 0))); got != c.reply {
			t.Errorf("%s: answered %s, want %s", c.name, got, c.reply)
		}
	}
}

// What the service cannot do is an answer with a status, not the end of the connection.
func TestRefused(t *testing.T) {
	other := invocation{service: "org.demo.Other", method: "echo", args: []string{"a"}}
	two := invocation{service: serviceID, method: "echo", args: []string{"a", "b"}}
	number := appendString(nil, protocolVersion)
	for _, s := range []string{serviceID, noVersion, "echo", "I"} {
		number = appendString(number, s)
	}
	for _, c := range []struct {
		name   string
		body   []byte
		status byte
		text   string
	}{
		{"another service", other.body(), notFound, "org.demo.Other"},
		{"another signature", two.body(), notFound, "2 parameters"},
		{"a number", append(number, 0x91, 'H', 'Z'), badRequest, `"I"`},
		{"nothing", nil, badRequest, "too early"},
	} {
		m := &message{flag: request | twoWay | hessian2, body: c.body}
		reply := answer(t.Context(), m, log.New(t.Output(), "", 0))
		if r := (reader{b: reply[headSize:]}); reply[3] != c.status || !strings.Contains(r.string(), c.text) {
			t.Errorf("%s: %q, want status %d and %q", c.name, reply, c.status, c.text)
		}
	}
}

// Requests that are not for this service end the connection.
func TestReadRefuses(t *testing.T) {
	for name, frame := range map[string]string{
		"an answer":         "dabb02140000000000000001000000014e",
		"another protocol":  "dabce2000000000000000001000000014e",
		"fastjson":          "dabbc6000000000000000001000000014e",
		"more than allowed": "dabbc200000000000000000100100001",
		"half of it":        echoCall[:60],
	} {
		if m, err := read(bytes.NewReader(unhex(t, frame))); err == nil {
			t.Errorf("%s: read as %+v", name, m)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{
		"", "a", "é", "日本", "🎈", strings.Repeat("a", 31), strings.Repeat("é", 32), strings.Repeat("x", 1024),
		strings.Repeat("🎈", maxChunk/2), "a" + strings.Repeat("🎈", maxChunk), strings.Repeat("z", 3*maxChunk),
	} {
		r := reader{b: append(appendString(nil, s), null)}
		if got := r.string(); got != s || r.err != nil || len(r.b) != 1 {
			t.Errorf("%d bytes %.10q...: read %d bytes %.10q..., %v, %d bytes are left", len(s), s, len(got), got, r.err, len(r.b))
		}
	}
	for want, b := range map[string]string{ // what others may write
		"🎈":                      "\x02🎈",
		"ab":                     "R\x00\x01a\x01b",
		strings.Repeat("x", 300): "\x31\x2c" + strings.Repeat("x", 300),
	} {
		r := reader{b: []byte(b)}
		if got := r.string(); got != want || r.err != nil || len(r.b) != 0 {
			t.Errorf("%q: %q, %v", b, got, r.err)
		}
	}
}

// FuzzRead: whatever comes is answered, or an error.
func FuzzRead(f *testing.F) {
	f.Add(unhex(f, echoCall))
	f.Add(unhex(f, "dabbe2000000000000000001000000014e"))
	ended, end := context.WithCancel(context.Background())
	end() // "slow" does not wait
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(m.body) > len(b) {
			t.Fatalf("%q: a body of %d bytes", b, len(m.body))
		}
		if reply := answer(ended, m, log.New(t.Output(), "", 0)); !bytes.Equal(reply[4:12], b[4:12]) {
			t.Errorf("%q: answered %q", b, reply)
		}
	})
}

// FuzzInvocation: what was read as a call is the same when written and read again.
func FuzzInvocation(f *testing.F) {
	f.Add(unhex(f, echoCall)[headSize:])
	f.Add([]byte("\x052.0.2R\x00\x01a\x01bNS\x00\x01m\x00N"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseInvocation(b)
		if err != nil {
			return
		}
		again, err := parseInvocation(c.body())
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%q: %+v, then %+v, %v", b, c, again, err)
		}
	})
}

// FuzzAnswer: an answer is a string with attachments, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, "hi", map[string]string{"a": "b"}))
	f.Add([]byte("\x91\x02hi"))
	f.Add([]byte("\x92"))
	f.Fuzz(func(t *testing.T, b []byte) {
		value, attachments, err := parseAnswer(b)
		if err != nil {
			return
		}
		again, attached, err := parseAnswer(appendAnswer(nil, value, attachments))
		if err != nil || again != value || len(attached) != len(attachments) {
			t.Errorf("%q: %q %v, then %q %v, %v", b, value, attachments, again, attached, err)
		}
	})
}
