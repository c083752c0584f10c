package dubbo_test

import (
	"bytes"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Whatever bytes come: no panic, no more than the frame, and what can be read
// can be built again and says the same.
func FuzzFrame(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v, uint64(7))
	}
	f.Add(request(0xc2, echoCall+"\x03[IJ\x79C\x01c\x91\x01f\x60N\x91M\x01t\x07timeout\x0510000\x05group\x01gZ"), uint64(1)<<63)
	f.Add(request(0xc6, "\"2.0.2\"\n\"S\"\nnull\n\"m\"\n"), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, id uint64) {
		n, err := codec.Size(b)
		if match := codec.Match(b); err == nil && len(b) >= 2 && match != protocol.Match || err != nil && match == protocol.More {
			t.Fatalf("Match says %v, Size %d, %v", match, n, err)
		}
		if err != nil || n == 0 || n > len(b) {
			return
		}
		frameBytes := bytes.Clone(b[:n])
		m, err := frame.Parse(codec, b[:n:n])
		if !bytes.Equal(b[:n], frameBytes) {
			t.Fatal("reading has changed the frame")
		}
		if err != nil {
			return
		}
		if m.Start != 16 || m.End != n {
			t.Fatalf("the payload is [%d:%d] of %d", m.Start, m.End, n)
		}
		codec.SetID(frameBytes, id)
		if again, err := frame.Parse(codec, frameBytes); err != nil || again.ID != id || again.Type != m.Type || !bytes.Equal(frameBytes[:4], b[:4]) || !bytes.Equal(frameBytes[12:], b[12:n]) {
			t.Fatalf("another id makes %x", frameBytes)
		}
		switch m.Type {
		case frame.Request, frame.OneWay, frame.Response:
			rebuild(t, m)
		case frame.Heartbeat:
			reply := codec.Reply(m, nil)
			reply.ID, reply.Request, reply.Header = m.ID, m, new(stream.Header)
			if out, err := codec.Append(nil, &reply); err != nil || read(t, out).Type != frame.HeartbeatReply || len(out) > 16+64 {
				t.Fatalf("the answer to %x is %x, %v", m.Frame, out, err)
			}
		}
	})
}

// rebuild builds m as it is, and then with one more field.
func rebuild(t *testing.T, m *frame.Message) {
	built := *m
	built.Frame, built.Origin, built.Body = nil, m, m.Payload()
	out, err := codec.Append(nil, &built)
	if err != nil {
		t.Fatalf("%x cannot be built again: %v", m.Frame, err)
	}
	again := read(t, out)
	if again.Type != m.Type || again.ID != m.ID || again.Code != m.Code || again.Method != m.Method || fields(again.Header) != fields(m.Header) {
		t.Fatalf("%x\nis built again as\n%x", m.Frame, out)
	}
	before := m.Header.Len()
	m.Header.Add("x-more", "va😀lue")
	if out, err = codec.Append(nil, &built); err != nil {
		t.Fatalf("%x cannot be built with one more field: %v", m.Frame, err)
	}
	if again = read(t, out); m.Type != frame.Response && again.Header.Len() != before && again.Header.Len() != before+1 {
		t.Fatalf("with one more field\n%x\nis\n%x", m.Frame, out)
	}
	e := codec.Reply(m, &stream.Error{Kind: stream.NoHost})
	e.Request, e.Header = m, new(stream.Header)
	if out, err = codec.Append(nil, &e); err != nil || read(t, out).Status != 502 {
		t.Fatalf("no host: %x, %v", out, err)
	}
}
