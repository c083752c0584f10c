package tars_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// FuzzDecode: any bytes are refused or read within the frame; what is read can
// be sent with any id, and built anew, and says the same then.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v[4:], uint32(70000), false)
	}
	f.Add(packet(f, "1003 2c 3c 4009", str(5, "A"), str(6, "f"), "7d00000178 8c 980c a80001", str(0, "STATUS_RESULT_CODE"), str(1, "-3"))[4:], uint32(1), true)
	f.Add(packet(f, "1001 2c 3c 4c 5c 6d000c 780c", str(8, "_reconnect_"), "980c")[4:], uint32(1), true)
	f.Add(packet(f, "0a0a0b0b 1001 2c 3c 4c 5c 6d000c 780c f0ff08 0001 0c 0d000c")[4:], uint32(1), true)
	f.Fuzz(func(t *testing.T, fields []byte, id uint32, fromHost bool) {
		if len(fields) > 1<<20 {
			return
		}
		codec := tars.Codec{}
		b := append(make([]byte, 4, 4+len(fields)), fields...)
		b[1], b[2], b[3] = byte(len(b)>>16), byte(len(b)>>8), byte(len(b))
		codec.Match(b)
		if n, err := codec.Size(b); err == nil && n != len(b) {
			t.Fatalf("size %d of %d", n, len(b))
		}
		m := &frame.Message{Frame: b[:len(b):len(b)], FromHost: fromHost, Header: new(stream.Header)}
		if codec.Decode(m) != nil {
			return
		}
		if m.Start < 4 || m.End < m.Start || m.End > len(b) {
			t.Fatalf("the payload is %d to %d of %d", m.Start, m.End, len(b))
		}
		moved := append(codec.AppendID(nil, m, uint64(id)), b[m.Start:]...)
		if n, err := codec.Size(moved); err != nil || n != len(moved) {
			t.Fatalf("with id %d: size %d, %v, want %d", id, n, err, len(moved))
		}
		again := &frame.Message{Frame: moved, FromHost: fromHost, Header: new(stream.Header)}
		if err := codec.Decode(again); err != nil || again.ID != uint64(id) || !bytes.Equal(again.Payload(), m.Payload()) {
			t.Fatalf("with id %d: %v, %+v", id, err, again)
		}
		if m.Type > frame.Response || codec.Fields(m) != nil {
			return
		}
		if err := codec.Fields(again); err != nil || text(again.Header) != text(m.Header) {
			t.Fatalf("with id %d: %v, %q, want %q", id, err, text(again.Header), text(m.Header))
		}
		built := *m
		built.Body = m.Payload()
		out, err := codec.Append(nil, &built)
		if err != nil {
			return // longer than it was, as long integers are
		}
		last := &frame.Message{Frame: out, Header: new(stream.Header)}
		if err := codec.Decode(last); err != nil {
			t.Fatalf("rebuilt: %v", err)
		}
		if err := codec.Fields(last); err != nil || last.Type != m.Type || last.ID != m.ID || !bytes.Equal(last.Payload(), m.Payload()) ||
			told(last.Header) != told(m.Header) || last.Code != m.Code || last.Method != m.Method {
			t.Fatalf("rebuilt: %v\n%+v %q\n%+v %q", err, last, text(last.Header), m, text(m.Header))
		}
	})
}

// told returns what a header says, in whatever order, but for what is not sent.
func told(h *stream.Header) string {
	var list []string
	for name, value := range h.All() {
		name = strings.ToLower(name)
		if name != frame.StatusField && (name != tars.ResultField || value != "") {
			list = append(list, name+"="+value)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
