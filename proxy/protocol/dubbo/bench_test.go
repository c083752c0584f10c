package dubbo_test

import (
	"bytes"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// kilobyte is a call with 1 KiB of arguments, which are not simple ones.
func kilobyte() []byte {
	arguments := "\x78C\x08org.Foo1\x93\x01a\x01b\x01c"
	for len(arguments) < 1024 {
		arguments += "\x60\x04text\x91\x4aabcdefgh"
	}
	n := bytes.Count([]byte(arguments), []byte{0x60}) // of objects
	arguments = "X\xc8" + string(rune(n)) + arguments[1:]
	return request(0xc2, "\x052.0.2\x0dorg.demo.Echo\x050.0.0\x04echo\x10Ljava/util/List;"+arguments+
		"H\x04path\x0dorg.demo.Echo\x09interface\x0dorg.demo.Echo\x07version\x050.0.0\x05group\x01g\x07timeout\x043000\x12remote.application\x08consumerZ")
}

// What a frame that is forwarded costs: it is read, and written with another id.
func BenchmarkCodec(b *testing.B) {
	all := vectors(b)
	for name, f := range map[string][]byte{"echo": all["req.echo"], "response": all["resp.value"], "1K": kilobyte()} {
		b.Run(name, func(b *testing.B) {
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
		})
	}
}

// What routes need to know of a call. Allocations are those of the header, which
// is a new one for each call as it is in a server.
func BenchmarkFields(b *testing.B) {
	bare := request(0xc2, "\x052.0.2\x0dorg.demo.Echo\x050.0.0\x04echo\x12Ljava/lang/String;\x02hiHZ")
	for name, f := range map[string][]byte{"service and method": bare, "echo": vectors(b)["req.echo"], "1K": kilobyte()} {
		b.Run(name, func(b *testing.B) {
			m := read(b, f)
			b.ReportAllocs()
			for b.Loop() {
				m.Header.Reset()
				if err := codec.Fields(m); err != nil {
					b.Fatal(err)
				}
			}
			if m.Method != "echo" || m.Header.Len() < 4 {
				b.Fatalf("%q, %s", m.Method, fields(m.Header))
			}
		})
	}
}

// What a call costs whose header was changed.
func BenchmarkRebuild(b *testing.B) {
	m := read(b, kilobyte())
	m.Header.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	built := frame.Message{Type: frame.Request, ID: 2, Method: m.Method, Header: m.Header, Body: m.Payload(), Origin: m}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = codec.Append(out[:0], &built); err != nil {
			b.Fatal(err)
		}
	}
}

// None of the steps of forwarding allocates, but the header for its strings.
func TestAllocations(t *testing.T) {
	f := kilobyte()
	m := read(t, f)
	if got := fields(m.Header); got != "dubbo=2.0.2 service=org.demo.Echo version=0.0.0 method=echo interface=org.demo.Echo group=g remote.application=consumer" {
		t.Fatal(got)
	}
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
	}); n > 2 {
		t.Errorf("%v allocations for the fields", n)
	}
	h := new(stream.Header)
	short := read(t, vectors(t)["req.echo"])
	short.Header = h
	if n := testing.AllocsPerRun(100, func() {
		h.Reset()
		_ = codec.Fields(short)
	}); n > 1 {
		t.Errorf("%v allocations for the fields of a short call", n)
	}
}
